--- The words that fake data is made of.
local words = {}

local function list(text)
  local items = {}
  for word in text:gmatch("%S+") do items[#items + 1] = (word:gsub("_", " ")) end
  return items
end

words.first_names = list([[Ada Alan Alma Amir Anna Anton Aria Ben Bianca Bruno Carla Cem Clara Cleo Dana Daniel Diego
  Dora Edith Elena Emil Esra Eva Felix Fiona Flora Gabriel Greta Hana Hugo Ida Igor Ines Ivan Jana Jonas Judith Julia
  Karim Klara Lara Leo Lina Luca Maja Marco Maria Mila Mira Nadia Nico Nina Noah Olga Oscar Paula Pavel Petra Rosa Ruben
  Ruth Samir Sara Selma Simon Sofia Stella Tamara Theo Tilda Tom Uma Valentin Vera Victor Wanda Yara Yusuf Zoe]])

words.last_names = list([[Abel Adler Amari Bach Baker Barros Becker Berg Bianchi Black Brandt Bruun Carter Castro Cohen
  Costa Dahl Demir Diaz Dubois Eder Ekman Evans Faber Farkas Fischer Fontana Foster Garcia Geiger Gruber Haas Hansen
  Herrera Hill Horvat Huber Ito Jansen Jensen Kaya Keller Kim Klein Kovac Lang Larsen Laurent Lehner Lind Lopez Maier
  Marino Martin Mayer Moreau Moser Nagy Nilsson Novak Okafor Olsen Ortiz Pavlov Pereira Pichler Popov Ramos Reis Rossi
  Sato Schmid Silva Steiner Stone Svensson Tanaka Toth Vogel Wagner Walker Weber Weiss Winter Wolf Young Zeman]])

words.words = list([[amber anchor apple arch arrow autumn basket beacon birch blanket blossom border branch bread breeze
  brick bridge bright brook bucket button candle canvas carpet castle cedar chair chalk cherry circle clay cloud clover
  coast copper corner cotton cradle crystal current daily dance dawn deep distant door dream drift early echo edge ember
  engine evening fabric falcon feather fern field flame flint forest fresh frost garden gentle glass golden grain
  granite grass green harbor harvest hazel hidden hollow honey horizon island ivory jacket journey kettle lantern leaf
  lemon letter light linen little maple marble meadow melody mirror morning mountain narrow needle north ocean olive
  open orange orchard paper pattern pebble pepper pillow pine plain planet pocket quiet rain ribbon river road root rope
  round saddle salt sand season shadow shell shore signal silent silver simple sketch slow small smooth south spark
  spring square stone story stream summer sunny table thread timber tower trail valley velvet village violet wagon
  walnut warm water weaver willow window winter wooden yellow]])

words.cities = list([[Amberg Ashford Bellmere Birkdal Bruckstadt Calder Castelmar Dornbach Eastbrook Elmsworth Fairhaven
  Falkirk Glenmoor Grauburg Hafenau Harrowgate Ivorton Kaltbrunn Kingsbridge Lakeview Lindau Marisol Milford Moosdorf
  Neustadt Northfield Oakridge Ostermark Pinehurst Port_Alba Quellenau Ravensburg Redcliff Rosental San_Mirto Seabrook
  Silverton Steinfeld Stonebridge Talheim Ulmenau Valdorro Waldsee Westhaven Wintervale Zellberg]])

words.countries = list([[Argentina Australia Austria Belgium Brazil Canada Chile Croatia Denmark Estonia Finland France
  Germany Ghana Greece Hungary Iceland India Ireland Italy Japan Kenya Latvia Mexico Morocco Nepal Norway Peru Poland
  Portugal Romania Senegal Slovenia Spain Sweden Switzerland Tunisia Turkey Uruguay Vietnam]])

words.streets = list([[Street Road Lane Avenue Square Way]])
words.trades = list([[Foods Books Textiles Motors Systems Tools Media Logistics Design Energy Garden Glass Travel]])
words.company_forms = { "Ltd", "Inc", "GmbH", "AG", "and Partners", "and Sons" }

-- Names that are set aside for examples: no mail reaches anybody.
words.domains = { "example.com", "example.org", "example.net" }
words.jobs = list([[Accountant Architect Baker Carpenter Chemist Developer Doctor Editor Electrician Engineer Farmer
  Florist Gardener Illustrator Journalist Lawyer Librarian Mechanic Musician Nurse Painter Pilot Plumber Teacher
  Translator Weaver]])
words.colors = list([[black white red green blue yellow orange purple brown grey pink teal]])

return words
