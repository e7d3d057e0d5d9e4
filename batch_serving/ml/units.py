"""Units behind numbers: 64GB and 3.5kg are quantities, 12A and 20대 are codes or groups."""

from __future__ import annotations

FEWEST_QUANTITIES = 3  # different values: of fewer, such as 250ml and 500ml, each may be a category
FEWEST_OF_A_LETTER = 5  # of units of one letter, such as 4G and 5G

# In lower case.
_NAMES = """
kg mg µg μg mcg ug ng lb lbs oz ton tons tonne tonnes gram grams kilo kilos
mm cm dm km nm µm μm um in inch inches ft feet foot yd yds mi mile miles meter meters metre metres
m2 m² m3 m³ cm2 cm² cm3 cm³ km2 km² ha acre acres sqft sqm sq.ft sq.m ft2 ft² ㎡ ㎢ ㎥ ㎝ ㎜ ㎞ ㎏ 평
ml cl dl µl cc gal gallon gallons liter liters litre litres
kb mb gb tb pb kib mib gib tib kbps mbps gbps bit bits byte bytes mp px dpi ppi fps
hz khz mhz ghz kw mw gw kwh mwh wh hp bhp ps nm rpm volt volts watt watts mah ah kv mv ma ohm
kcal cal kj kn pa hpa kpa mpa bar mbar psi atm mmhg db dba lux lx ppm ppb
°c °f ℃ ℉ degc degf deg ° º kmh km/h kph mph m/s knots kn mpg kmpl km/l l/100km km/kg
mg/dl mmol/l g/l mg/l µg/m3 ug/m3 g/dl u/l iu iu/l ng/ml bpm kg/m2 kg/m²
sec secs second seconds min mins minute minutes hr hrs hour hours day days week weeks month months
mo mos yr yrs year years ms
mn mio mrd bn mil mln million billion thousand k+ m+
명 개 세 살 건 권 장 병 시간 분 초 개월 킬로 그램 미터 센티 리터 만 천 억 백만 천만 인
years old pcs pieces items units people persons times x
"""
_UNITS = frozenset(_NAMES.split()) | {"years old", "sq ft", "sq. ft.", "sq m", "l/100 km", "t/ha"}
_LETTERS = frozenset("KkMBbTGgmltshdywVW")  # as upper and lower case differ
_MAGNITUDES = frozenset("KkMBbT")
_TIMES = {"k": 1e3, "천": 1e3, "만": 1e4, "억": 1e8, "백만": 1e6, "천만": 1e7, "thousand": 1e3}
_TIMES |= dict.fromkeys(["mn", "mio", "mil", "mln", "million"], 1e6)
_TIMES |= dict.fromkeys(["bn", "mrd", "billion"], 1e9)
_TIMES_OF_LETTERS = {"K": 1e3, "M": 1e6, "B": 1e9}


def is_known(unit: str) -> bool:
    """Return whether a text behind a number is the unit of a quantity."""
    if len(unit) == 1 and unit.isascii():
        return unit in _LETTERS
    return unit.lower() in _UNITS


def multiplier(unit: str) -> float | None:
    """Return by how much a unit such as K or 만 multiplies; None for a unit of measurement."""
    return _TIMES_OF_LETTERS.get(unit) or _TIMES.get(unit.lower())


def are_quantities(units: set[str], distinct: int) -> bool:
    """Return whether these known units behind so many different numbers mean quantities, not categories."""
    letters = units & _LETTERS
    if not letters:
        return distinct >= FEWEST_QUANTITIES
    return distinct >= FEWEST_OF_A_LETTER and (len(letters) == 1 or letters <= _MAGNITUDES)
