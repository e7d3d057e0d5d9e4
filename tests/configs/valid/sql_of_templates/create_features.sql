INSERT INTO features SELECT *
FROM raw WHERE day = '{{ ds }}'
