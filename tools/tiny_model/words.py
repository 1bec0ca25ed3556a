"""Word lists that the training text is made of."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """The words of a text; shorter to read and to edit than a list of strings."""
    return text.split()


FIRST_NAMES = listed("""
Ada Alan Alba Alice Amir Amy Ana Anna Anton Aria Ben Bella Bob Boris Carla Carlos Chen Chloe Clara
Dan Dana David Diego Dora Ed Elena Eli Ella Emil Emma Eva Fatima Felix Fiona Finn Frank Freya
George Gina Grace Greta Hana Hans Harry Hassan Helen Hugo Ida Igor Ines Ingrid Iris Isaac Ivan
Jack James Jan Jana Jane Javier Joan Joe Johan John Jonas Julia Kai Karl Kate Kenji Kim Lara Laura
Lea Leo Liam Lena Lily Linda Lin Lucas Lucy Luis Maja Marc Maria Marie Mark Marta Mary Max Maya
Mei Mia Mike Mila Mina Mohammed Nadia Nick Nina Noah Nora Olga Oliver Olivia Omar Oscar Otto Paul
Paula Pedro Peter Pia Priya Quinn Rafael Rania Ravi Rita Robert Rosa Ruth Sam Sara Sarah Sasha
Simon Sofia Stefan Susan Tara Theo Tim Tina Tom Uma Vera Victor Viola Walter Wei Willa Yara Yuki
Yusuf Zara Zoe
""")

TOWNS = [
    *listed("""
Aachen Aarhus Adelaide Albany Antwerp Arles Atlanta Austin Bari Basel Bergen Bilbao Birmingham
Bonn Bordeaux Boston Braga Bremen Brisbane Bristol Bruges Calgary Cambridge Cardiff Chicago
Cologne Cork Cusco Dallas Darwin Delft Denver Detroit Dresden Durban Essen Florence Frankfurt
Galway Geneva Genoa Ghent Glasgow Granada Graz Hamburg Hanover Houston Istanbul Izmir Jena Karachi
Kobe Kyoto Lagos Leeds Leipzig Lille Linz Liverpool Lyon Malaga Malmo Manchester Mannheim
Marseille Melbourne Memphis Miami Milan Montreal Mumbai Munich Nagoya Nantes Naples Nice Odessa
Orlando Osaka Oxford Palermo Perth Phoenix Pisa Porto Portland Pune Quebec Rotterdam Salzburg
Seattle Seville Shanghai Siena Split Stuttgart Sydney Tampa Tartu Toledo Toronto Trieste Turin
Utrecht Valencia Vancouver Venice Verona York Zurich
"""),
    "New York", "Los Angeles", "San Francisco", "Sao Paulo", "Rio de Janeiro", "Cape Town",
    "Hong Kong", "Las Vegas", "San Diego", "Salt Lake City", "Baden Baden", "Tel Aviv",
]  # fmt: skip

CAPITALS = dict(
    line.split(":")
    for line in """Albania:Tirana
Algeria:Algiers
Argentina:Buenos Aires
Australia:Canberra
Austria:Vienna
Bangladesh:Dhaka
Belgium:Brussels
Bolivia:Sucre
Brazil:Brasilia
Bulgaria:Sofia
Canada:Ottawa
Chile:Santiago
China:Beijing
Colombia:Bogota
Croatia:Zagreb
Cuba:Havana
Cyprus:Nicosia
Czechia:Prague
Denmark:Copenhagen
Ecuador:Quito
Egypt:Cairo
England:London
Estonia:Tallinn
Ethiopia:Addis Ababa
Finland:Helsinki
France:Paris
Germany:Berlin
Ghana:Accra
Greece:Athens
Hungary:Budapest
Iceland:Reykjavik
India:New Delhi
Indonesia:Jakarta
Iran:Tehran
Iraq:Baghdad
Ireland:Dublin
Israel:Jerusalem
Italy:Rome
Jamaica:Kingston
Japan:Tokyo
Jordan:Amman
Kenya:Nairobi
Latvia:Riga
Lebanon:Beirut
Lithuania:Vilnius
Luxembourg:Luxembourg
Malaysia:Kuala Lumpur
Malta:Valletta
Mexico:Mexico City
Mongolia:Ulaanbaatar
Morocco:Rabat
Nepal:Kathmandu
New Zealand:Wellington
Nigeria:Abuja
North Korea:Pyongyang
Norway:Oslo
Pakistan:Islamabad
Panama:Panama City
Paraguay:Asuncion
Peru:Lima
Poland:Warsaw
Portugal:Lisbon
Qatar:Doha
Romania:Bucharest
Russia:Moscow
Saudi Arabia:Riyadh
Scotland:Edinburgh
Serbia:Belgrade
Singapore:Singapore
Slovakia:Bratislava
Slovenia:Ljubljana
South Africa:Pretoria
South Korea:Seoul
Spain:Madrid
Sweden:Stockholm
Switzerland:Bern
Syria:Damascus
Thailand:Bangkok
Tunisia:Tunis
Turkey:Ankara
Uganda:Kampala
Ukraine:Kyiv
United Kingdom:London
United States:Washington
Uruguay:Montevideo
Venezuela:Caracas
Vietnam:Hanoi""".splitlines()
)

NOUNS = listed("""
apple ball bear bee bell bike bird boat book bottle box bread bridge bridges bucket bus butter
cake camera candle car castle cat chair cheese cherry city clock cloud coat coffee cook cow cup
dance desk dog door dragon dream drum duck egg elephant engine farm feather field fire fish flag
flower fog forest fox friend frog garden ghost giraffe glass goat gold grass guitar hammer hat
heart hill honey horse house ice island jacket jam juice kettle key king kite kitten knife lake
lamp leaf lemon letter lettuce library light lion lizard map market milk mirror money monkey moon
morning mountain mouse mouth museum music needle nest night notebook ocean onion orange owl oven
page paint panda paper park pear pen pencil penguin piano picture pig pillow pirate plane planet
plant plate pocket pony potato prince puppy queen rabbit radio rain rainbow ring river road robot
rocket rope rose salad salt sand school scissors sea seed shadow sheep ship shirt shoe shop
silence silver sky snail snow soap sock song soup space spider spoon spring squirrel star stone
storm street sugar summer sun sword table tea teacher tent thunder tiger time toast tomato tower
toy train tree trumpet turtle umbrella valley village violin wall watch water whale wheel wind
window winter wizard wolf wood worm yard yogurt zebra
""")

CREATURES = listed("""
bear bee bird boy cat cook cow dog donkey dragon duck elephant farmer fish fox frog ghost giraffe
girl goat horse king kitten knight lion lizard mouse owl panda penguin pig pirate pony prince
princess puppy queen rabbit robot sheep snail spider squirrel teacher tiger turtle whale wizard
wolf worm zebra
""")

ADJECTIVES = listed("""
big blue bold brave bright brown busy calm clean clever cold cool curious dark deep dry fast funny
gentle golden good grand gray green happy heavy honest hot huge hungry kind large lazy light
little long loud lucky merry new nice noisy old orange pink polite poor pretty proud purple quick
quiet red rich round sad sharp shiny short shy silent silver simple slow small soft strange strong
sunny sweet tall tender thin tiny tired warm wet white wide wild wise yellow young
""")

VERBS = listed("""
bake bring build buy call carry catch check clean close collect cook copy count cut draw drive
feed fetch find fix fold follow hide hold kick lift listen load look make mark measure meet mix
move open order pack paint pick plan plant play polish print pull push read rent repair save
search sell send show sing sort start stop study sweep take teach test throw train turn visit walk
wash watch water weigh write
""")

DAYS = listed("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = listed(
    "January February March April May June July August September October November December"
)
LANGUAGES = listed("English German French Spanish Italian Dutch Polish Swedish Greek Turkish")

SYLLABLES = listed("""
ba be bi bo bu bra cal ce chi co cra da de di do dra el en fa fe fi flo fra ga ge gi go gra ha he
hi ho hu in ja je jo ju ka ke ki ko kra la le li lo lu ma me mi mo mu na ne ni no nu o or pa pe pi
po pra qua ra re ri ro ru sa se shi so sta su ta te thi to tra tu u va ve vi vo wa we wi wo xa ya
yo yu za ze zi zo
""")
ENDINGS = listed("n r s l m x t d ck nd rt th ng lle")
UNWANTED = listed("cock coon dick fag fuck homo hore nazi nig penis porn rape shit suck tit wank")
