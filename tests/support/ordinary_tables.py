"""Fifty tables as people have them: the columns of public datasets, with made-up values.

Each column is one of: ``n`` mean sd decimals (normal, not below 0 if the mean is three sd above it), ``l`` mean
sigma decimals (log-normal), ``i`` low high (whole numbers), ``p`` mean (a count), ``c`` words (categories, the
first ones more frequent), ``z`` (as ``n``, 40 % zeros), ``d`` digits (whole numbers of so many digits). ``?5``
leaves 5 % empty. The target depends on the columns of numbers, and on chance.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

TABLES = """
iris 150 = setosa|versicolor|virginica: sepal_length n 5.8 .8 1; sepal_width n 3 .4 1; petal_length n 3.8 1.7 1; petal_width n 1.2 .7 1
wine 178 = 1|2|3: alcohol n 13 .8 2; malic_acid l .8 .5 2; ash n 2.4 .3 2; magnesium i 70 160; phenols n 2.3 .6 2; hue n .96 .2 2; proline i 280 1680
wine_quality 800 = 3|4|5|6|7|8: fixed_acidity n 8.3 1.7 1; volatile_acidity n .53 .18 2; residual_sugar l .8 .5 1; chlorides n .087 .02 3; free_so2 i 1 72; density n .9967 .0018 4; pH n 3.3 .15 2
housing 506 = #1: crim l -1 2 5; zn z 20 15 1; indus n 11 6 2; chas c 0|1; nox n .55 .1 3; rm n 6.3 .7 3; age n 68 28 1; rad i 1 24; tax i 187 711; lstat n 12 7 2 ?4
california 900 = #0: longitude n -119.5 2 2; latitude n 35.6 2.1 2; housing_median_age i 1 52; total_rooms d 4; total_bedrooms i 80 1500 ?1; median_income n 3.9 1.9 4; ocean_proximity c INLAND|NEAR BAY|NEAR OCEAN|ISLAND
titanic 891 = 0|1: Pclass c 3|1|2; Sex c male|female; Age n 29.7 14.5 0 ?20; SibSp p .5; Parch p .4; Fare l 3 1 4; Embarked c S|C|Q ?1; Deck c C|B|D|E|A ?77
adult 1000 = <=50K|>50K: age i 17 90; workclass c Private|Self-emp|Local-gov|State-gov ?5; fnlwgt d 6; education c HS-grad|Some-college|Bachelors|11th|9th|Masters; education_num i 1 16; race c White|Black|Other; capital_gain z 5000 3000 0; hours_per_week i 1 99; native_country c United-States|Mexico|? ?1
telco_churn 900 = No|Yes: gender c Male|Female; SeniorCitizen c 0|1; tenure i 0 72; Contract c Month-to-month|One year|Two year; PaperlessBilling c Yes|No; MonthlyCharges n 65 25 2; TotalCharges l 7 1 2 ?1
sales_by_month 60 = #0: year i 2019 2023; month i 1 12; ad_spend n 5000 1500 0; price n 19 2 2; holidays i 0 5; region c north|south|west
sensor_readings 1000 = ok|fault: temperature n 21.5 3 1; humidity n 45 10 1; pressure n 1013 8 1; vibration l -2 .6 3; voltage n 230 3 1 ?2; status c on|idle
survey_likert 400 = low|mid|high: q1 i 1 5; q2 i 1 5; q3 i 1 5 ?3; q4 i 1 5; q5 i 1 5; q6 i 1 5; age_group c 20-29|30-39|40-49|50+; gender c F|M|X
pima_diabetes 768 = 0|1: Pregnancies p 3.8; Glucose n 121 31 0; BloodPressure n 69 12 0; SkinThickness z 29 10 0; Insulin z 120 80 0; BMI n 32 7 1; DiabetesPedigree l -1 .6 3; Age i 21 81
heart 303 = 0|1: age i 29 77; sex c 1|0; cp i 0 3; trestbps n 131 17 0; chol n 246 51 0; thalach n 149 22 0; oldpeak z 1.5 1 1; ca i 0 3 ?2; thal c 2|3|1
german_credit 1000 = good|bad: checking c A11|A12|A13|A14; duration i 4 72; amount d 4; savings c A61|A62|A65; employment c A71|A73|A75; age i 19 75; housing c own|rent|free
credit_default 1000 = 0|1: limit_bal l 11.7 .8 -4; sex i 1 2; education i 1 4; age i 21 75; pay_0 i -2 8; bill_amt1 n 51000 20000 0; pay_amt1 l 8 1 0
taxi 1000 = #2: vendor i 1 2; passengers i 1 6; distance l .7 .8 2; hour i 0 23; weekday i 0 6; pickup_zone i 1 263; dropoff_zone i 1 263; payment c card|cash
bike_counts 731 = #0: season i 1 4; holiday c 0|1; weekday i 0 6; workingday c 1|0; weathersit i 1 3; temp n .5 .18 4; hum n .63 .14 4; windspeed n .19 .07 4
weather_daily 700 = no|yes: min_temp n 12 6 1; max_temp n 23 7 1 ?1; rainfall z 6 5 1; wind_gust i 20 98 ?6; wind_dir c N|NE|E|SE|S|SW|W|NW ?6; humidity i 10 100; pressure n 1017 7 1 ?9; cloud i 0 8 ?37
auto_mpg 398 = #1: cylinders c 4|8|6; displacement n 193 60 0; horsepower i 46 230 ?2; weight d 4; acceleration n 15.5 2.7 1; model_year i 70 82; origin i 1 3
abalone 900 = #0: sex c M|F|I; length n .52 .12 3; diameter n .41 .1 3; height n .14 .04 3; whole_weight n .83 .3 4; shell_weight n .24 .1 4
breast_cancer 569 = B|M: radius n 14 3.5 2; texture n 19 4.3 2; perimeter n 92 24 2; area n 655 150 1; smoothness n .096 .014 5; concavity n .09 .03 5
mushrooms 800 = e|p: cap c x|f|b|k; color c n|g|e|y|w; bruises c t|f; odor c n|f|a|l|y; gill c b|n; spore c w|n|k; population c v|y|s
student_scores 395 = #0: school c GP|MS; age i 15 22; studytime i 1 4; failures p .3; absences p 5; G1 i 3 19; G2 i 0 19; internet c yes|no
bank_marketing 1000 = no|yes: age i 18 95; job c admin.|technician|services|retired; marital c married|single|divorced; balance n 1400 3000 0; day i 1 31; campaign i 1 30; previous p .5; poutcome c unknown|failure|success
insurance 1000 = #4: age i 18 64; sex c male|female; bmi n 30 6 3; children i 0 5; smoker c no|yes; region c southeast|southwest|northwest
hr_attrition 900 = No|Yes: Age i 18 60; DailyRate i 102 1499; Department c R&D|Sales|HR; DistanceFromHome i 1 29; JobLevel i 1 5; MonthlyIncome d 5; YearsAtCompany i 0 40; OverTime c No|Yes
loans 600 = Y|N: Gender c Male|Female ?2; Married c Yes|No; Dependents c 0|1|2|3+ ?2; Education c Graduate|Not Graduate; ApplicantIncome d 4; LoanAmount n 146 40 0 ?4; Term c 360|180|480 ?2; History c 1.0|0.0 ?8
store_sales 1000 = #2: store i 1 54; dept i 1 99; size d 6; temperature n 60 18 2; fuel_price n 3.3 .4 3; cpi n 171 30 4; unemployment n 8 1.8 3; is_holiday c False|True
flights 1000 = 0|1: month i 1 12; day_of_week i 1 7; dep_time i 500 2359; carrier c AA|DL|UA|WN|B6; origin c ATL|ORD|LAX|JFK; distance i 67 4983; taxi_out n 16 5 0 ?1
used_cars 900 = #0: brand c Hyundai|Toyota|BMW|Kia; year i 2001 2023; mileage d 5; fuel c Petrol|Diesel|Hybrid; gearbox c Manual|Auto; engine n 1.9 .5 1; doors i 2 5; owners i 1 4
laptops 500 = #2: company c Dell|HP|Asus|Apple; inches n 15 1.4 1; ram_gb c 8|16|4|32; ssd_gb c 256|512|128|1024; weight_kg n 2 .4 2; touch c 0|1; os c Windows 10|macOS|Linux
airbnb 900 = #0: room_type c Entire home|Private room|Shared room; lat n 40.73 .05 5; lon n -73.95 .05 5; min_nights i 1 30; reviews p 23; reviews_month l 0 1 2 ?20; availability i 0 365
energy 768 = #2: compactness n .76 .1 2; surface n 672 88 1; wall n 318 43 1; height c 3.5|7.0; orientation i 2 5; glazing c 0.0|0.1|0.25|0.4
concrete 900 = #2: cement n 281 80 1; slag z 120 60 1; water n 181 21 1; plasticizer z 9 4 1; coarse n 972 77 1; age c 28|7|3|90|180
air_quality 900 = #1: co n 2.1 .6 1 ?18; nox n 246 70 0 ?17; o3 n 1022 300 0; t n 18 8 1; rh n 49 17 1; ah n 1.02 .4 4
power_plant 900 = #2: AT n 19 7 2; V n 54 12 2; AP n 1013 6 2; RH n 73 14 2
gas_turbine 700 = #3: ambient n 17.7 7 4; humidity n 77 14 3; inlet n 1081 17 1; compressor n 12 1 3; output n 133 15 2
spam 900 = 0|1: freq_make z .2 .1 2; freq_free z .4 .2 2; freq_you z 2 1 2; caps_average l 1 .7 3; caps_longest i 1 900; caps_total i 1 9000
fraud 1000 = 0|1: amount l 3 1.5 2; hour i 0 23; v1 n 0 2 6; v2 n 0 1.6 6; v3 n 0 1.5 6; merchant c grocery|gas|online|travel; foreign c 0|1
churn_bank 1000 = 0|1: CreditScore i 350 850; Geography c France|Germany|Spain; Gender c Male|Female; Tenure i 0 10; Balance z 119000 30000 2; NumOfProducts i 1 4; EstimatedSalary n 100000 30000 2
movies 800 = #1: budget l 17 1 -3; runtime n 107 18 0; year i 1970 2020; genre c Drama|Comedy|Action|Horror; votes d 5; language c en|fr|ko|ja
players 700 = #-3: age i 17 40; position c MF|DF|FW|GK; overall i 47 94; potential i 55 95; height_cm n 181 7 0; weight_kg n 75 7 0; foot c Right|Left; club_rank i 1 20
crop_yield 500 = #0: area c Kenya|India|Brazil|Korea; year i 1990 2013; rainfall n 1100 300 0; pesticides n 37000 9000 2; temp n 20 4 2; crop c Maize|Rice|Wheat
census_korea 500 = #0: 시도 c 서울|부산|대구|경기; 나이대 c 20대|30대|40대; 성별 c 남|여; 소득 d 4; 가구원수 i 1 6; 주택 c 아파트|단독|다세대 ?3
support_tickets 900 = low|mid|high: channel c email|chat|phone; product c A1|B2|C3; wait_min l 2 1 1; messages i 1 25; open_tickets i 1 12; weekend c false|true; plan c free|pro
web_visits 1000 = 0|1: pages i 1 60; duration l 5 1 1; bounce n .02 .005 4; month c May|Nov|Mar|Dec; browser i 1 13; visitor c Returning|New; weekend c FALSE|TRUE
steel_plates 700 = a|b|c: x_min i 0 1700; y_min d 7; pixels d 3; luminosity d 6; conveyer i 1227 1794; thickness c 40|70|100|200; edges n .33 .1 4
population_by_year 60 = #0: year y 1961; births n 640 90 0; deaths n 290 30 0; migration n 12 9 1; rate n 1.3 .5 2
big_measurements 600 = #1: flux d 10; counts d 10; background d 5; exposure n 900 100 2; filter c u|g|r
sorted_measurements 300 = #2: depth s 2; pressure s 1; salinity n 35 .4 3; oxygen n 5.6 1 2 ?5
university_ranks 200 = #1: rank r 0; citations n 60 18 1; students d 5; ratio n 15 4 1; country c US|UK|KR|DE
small 12 = a|b: height n 170 9 0; weight n 65 9 0; team c red|blue
click_log 900 = 0|1: banner_pos i 0 7; device_type i 0 5; site c s1|s2|s3; hour i 0 23; impressions p 40; ctr n .02 .005 5
"""


@dataclass(frozen=True)
class Table:
    """A table: its columns in order, with a row id ``row_id`` and a target ``target``."""

    name: str
    columns: dict[str, list[str]]
    is_regression: bool

    def with_column(self, name: str, value: Callable[[int], str]) -> Table:
        """Return the table with a planted column."""
        rows = range(len(self.columns["row_id"]))
        return Table(self.name, {**self.columns, name: [value(row) for row in rows]}, self.is_regression)


def tables() -> list[Table]:
    """Return all tables, always the same."""
    return [_table(line) for line in TABLES.strip().splitlines()]


def _table(line: str) -> Table:
    head, _, body = line.partition(": ")
    title, _, target = head.partition(" = ")
    name, rows = title.split()
    draw = random.Random(name)
    number = int(rows)
    columns: dict[str, list[str]] = {"row_id": [f"{name}-{row:05d}" for row in range(number)]}
    score = [draw.gauss(0, 1) for _ in range(number)]
    for spec in body.split("; "):
        column, values = _column(spec, number, draw)
        columns[column] = values
        numbers = [float(value) for value in values if _is_number(value)]
        if len(numbers) > number / 2:
            middle = sum(numbers) / len(numbers)
            spread = (sum((value - middle) ** 2 for value in numbers) / len(numbers)) ** 0.5 or 1
            for row, value in enumerate(values):
                score[row] += (float(value) - middle) / spread / 2 if _is_number(value) else 0
    columns["target"] = _target(target, score)
    return Table(name, columns, target.startswith("#"))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _target(spec: str, score: list[float]) -> list[str]:
    if spec.startswith("#"):
        decimals = int(spec[1:])
        scale = 10.0 ** max(0, -decimals) * 20
        return [_rounded(500 * scale / 20 + scale * value, decimals) for value in score]
    classes = spec.split("|")
    order = sorted(score)
    return [
        classes[min(len(classes) - 1, order.index(value) * len(classes) // len(score))] for value in score
    ]


def _rounded(value: float, decimals: int) -> str:
    return str(round(value)) if decimals == 0 else str(round(value, decimals)) if decimals > 0 else str(round(value, decimals)).removesuffix(".0")  # fmt: skip


def _column(spec: str, rows: int, draw: random.Random) -> tuple[str, list[str]]:
    """Return the name and the values of one column."""
    spec, _, gaps = spec.partition(" ?")
    name, kind, *rest = spec.split(" ", 2)
    given = rest[0] if rest else ""
    values = _values(kind, given, rows, draw)
    if gaps:
        values = ["" if draw.random() < int(gaps) / 100 else value for value in values]
    return name, values


def _values(kind: str, given: str, rows: int, draw: random.Random) -> list[str]:
    if kind == "c":
        words = given.split("|")
        return draw.choices(words, [1 / (place + 1) for place in range(len(words))], k=rows)
    numbers = [float(one) for one in given.split()]
    if kind == "y":
        return [str(int(numbers[0]) + row) for row in range(rows)]
    if kind == "r":  # a rank, in an order of its own
        return [str(one) for one in draw.sample(range(1, rows + 1), rows)]
    if kind == "s":
        return [_rounded(one, int(numbers[0])) for one in sorted(draw.uniform(0, 500) for _ in range(rows))]
    return [_number(kind, numbers, draw) for _ in range(rows)]


def _number(kind: str, numbers: list[float], draw: random.Random) -> str:
    if kind == "i":
        return str(draw.randint(int(numbers[0]), int(numbers[1])))
    if kind == "d":
        return str(draw.randint(10 ** (int(numbers[0]) - 1), 10 ** int(numbers[0]) - 1))
    if kind == "p":
        return str(int(draw.expovariate(1 / (numbers[0] + 0.5))))
    if kind == "z" and draw.random() < 0.4:
        return "0"
    mean, sd, decimals = numbers
    if kind == "l":
        return _rounded(draw.lognormvariate(mean, sd), int(decimals))
    value = draw.gauss(mean, sd)
    return _rounded(max(value, 0.0) if mean >= 0.9 * sd else value, int(decimals))
