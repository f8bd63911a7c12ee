"""Words of the sample logs: what items of each preset are called, and how they are sorted. Standard library only."""

# preset -> section -> topic -> things; a title is a style and a thing, so that a text encoder finds its topic
THINGS: dict[str, dict[str, dict[str, tuple[str, ...]]]] = {
    "shop": {
        "Home": {
            "kitchen": ("teapot", "frying pan", "bread knife", "mixing bowl", "coffee grinder"),
            "bedroom": ("duvet cover", "pillow", "bedside lamp", "wool blanket", "alarm clock"),
            "garden": ("watering can", "plant pot", "pruning shears", "bird feeder", "garden hose"),
        },
        "Clothing": {
            "outdoor": ("rain jacket", "hiking boots", "fleece", "walking socks", "sun hat"),
            "office": ("cotton shirt", "leather belt", "wool trousers", "silk tie", "blazer"),
            "sport": ("running shoes", "cycling shorts", "yoga leggings", "swim cap", "training top"),
        },
        "Electronics": {
            "sound": ("headphones", "loudspeaker", "turntable", "microphone", "radio"),
            "photo": ("camera lens", "tripod", "camera bag", "flash light", "memory card"),
            "computing": ("keyboard", "laptop stand", "monitor", "computer mouse", "webcam"),
        },
    },
    "news": {
        "Politics": {
            "elections": ("mayor wins the vote", "poll shows a close race", "party picks its candidate"),
            "economy": ("central bank holds interest rates", "exports fall", "unemployment drops"),
            "foreign affairs": ("ministers sign a treaty", "border talks go on", "summit ends without a deal"),
        },
        "Sport": {
            "football": ("striker scores twice in the cup final", "coach leaves the club", "keeper saves a penalty"),
            "tennis": ("champion loses in the first round", "young player reaches the final", "match lasts five hours"),
            "cycling": ("climber takes the mountain stage", "sprinter wins by a wheel", "team leads the time trial"),
        },
        "Science": {
            "space": ("probe reaches a comet", "telescope finds a planet", "rocket launch is put off"),
            "medicine": ("vaccine trial shows results", "hospital tests a new therapy", "study links sleep and memory"),
            "climate": ("glacier shrinks faster", "heat wave breaks records", "river floods the valley"),
        },
    },
    "video": {
        "Learning": {
            "mathematics": ("proof in five minutes", "geometry puzzle", "probability explained"),
            "history": ("life in a medieval town", "how the empire fell", "letters from the trenches"),
            "languages": ("Spanish for beginners", "French listening practice", "grammar in ten minutes"),
        },
        "Making": {
            "woodwork": ("building an oak table", "sharpening a chisel", "dovetail joints by hand"),
            "cooking": ("bread without kneading", "soup for a week", "perfect roast potatoes"),
            "electronics": ("repairing an old radio", "first steps in soldering", "a clock from spare parts"),
        },
        "Fun": {
            "animals": ("kitten meets a hedgehog", "dog learns to skate", "parrot sings along"),
            "comedy": ("stand-up about trains", "sketch in a lift", "prank that went wrong"),
            "gaming": ("speedrun in one try", "boss fight without armour", "hidden level found"),
        },
    },
    "music": {
        "Classical": {
            "piano": ("nocturne in E flat", "sonata in C minor", "waltz for piano"),
            "orchestra": ("symphony in D", "overture", "violin concerto"),
            "choir": ("requiem", "evensong", "mass in B"),
        },
        "Popular": {
            "rock": ("guitar anthem", "garage song", "power ballad"),
            "electronic": ("techno track", "ambient piece", "house remix"),
            "hip hop": ("rap verse", "street beat", "freestyle"),
        },
        "Roots": {
            "jazz": ("saxophone solo", "swing standard", "trio session"),
            "folk": ("fiddle tune", "ballad of the sea", "harvest song"),
            "blues": ("slide guitar blues", "delta song", "harmonica shuffle"),
        },
    },
    "social": {
        "Hobbies": {
            "photography": ("portrait at dusk", "street photo", "macro shot of a bee"),
            "gardening": ("first tomatoes", "compost tips", "roses in bloom"),
            "knitting": ("finished cardigan", "sock pattern", "yarn for winter"),
        },
        "Life": {
            "parenting": ("school lunch ideas", "first bike ride", "bedtime stories"),
            "work": ("meeting that was an email", "new job", "desk by the window"),
            "pets": ("puppy in the snow", "cat on the keyboard", "rabbit hutch"),
        },
        "World": {
            "travelling": ("night train diary", "beach in autumn", "lost in the old town"),
            "food": ("ramen place", "birthday cake", "street tacos"),
            "fitness": ("marathon training", "morning swim", "first pull-up"),
        },
    },
    "travel": {
        "City": {
            "museums": ("museum of modern art", "maritime museum", "sculpture garden"),
            "restaurants": ("trattoria", "noodle bar", "fish restaurant"),
            "nightlife": ("jazz club", "cocktail bar", "dance hall"),
        },
        "Nature": {
            "mountains": ("alpine hut", "cable car", "summit trail"),
            "coast": ("sandy beach", "lighthouse walk", "surf school"),
            "parks": ("botanical garden", "lake path", "deer park"),
        },
        "Stay": {
            "hotels": ("grand hotel", "harbour hotel", "airport hotel"),
            "hostels": ("backpackers hostel", "youth hostel", "surf hostel"),
            "camping": ("forest campsite", "lakeside campsite", "mountain campsite"),
        },
    },
    "games": {
        "Strategy": {
            "city builders": ("harbour town builder", "railway empire", "colony planner"),
            "war games": ("tank campaign", "naval battle", "siege of the castle"),
            "card games": ("deck duel", "poker night", "solitaire quest"),
        },
        "Action": {
            "shooters": ("arena shooter", "space marine", "zombie defence"),
            "platformers": ("jumping fox", "pixel runner", "cave climber"),
            "racing": ("rally championship", "kart cup", "night street race"),
        },
        "Stories": {
            "adventures": ("island mystery", "detective case", "haunted house"),
            "role playing": ("dragon saga", "guild of mages", "desert kingdom"),
            "puzzles": ("block puzzle", "word garden", "mirror maze"),
        },
    },
}
STYLES: dict[str, tuple[str, ...]] = {
    "shop": ("Classic", "Blue", "Compact", "Handmade", "Light", "Vintage", "Striped", "Large", "Everyday", "Premium"),
    "news": ("Breaking:", "Analysis:", "Live:", "Tonight:", "Report:", "Opinion:", "In brief:", "Update:"),
    "video": ("Quick:", "In depth:", "Part one:", "Part two:", "Best of:", "Live:", "Remastered:", "For kids:"),
    "music": ("Slow", "Live", "Acoustic", "Early", "Late", "Northern", "Golden", "Quiet", "Wild"),
    "social": ("My", "Our", "That", "Another", "Today's", "Throwback:", "Finally:", "Someone's"),
    "travel": ("Old", "Grand", "Hidden", "Royal", "Little", "Sunny", "Quiet", "Famous"),
    "games": ("Super", "Tiny", "Endless", "Lost", "Secret", "Turbo", "Mystic", "Royal"),
}
COMMENTS = ("love this", "so true", "not for me", "where was this?", 'they said "never" - well', "great; thank you",
            "meh", "made my day", "I want one", "très joli", "schöner Tag")  # fmt: skip
