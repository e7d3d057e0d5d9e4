-- One transaction. A row depends on its student and its day alone, so the same range gives the same rows.
{% set range_of_days = ti.xcom_pull(task_ids='date_params') %}
DELETE FROM exam_data_generator_exams
WHERE exam_day BETWEEN '{{ range_of_days['start'] }}' AND '{{ range_of_days['end'] }}';

DELETE FROM exam_data_generator_days
WHERE exam_day BETWEEN '{{ range_of_days['start'] }}' AND '{{ range_of_days['end'] }}';

INSERT INTO exam_data_generator_days (exam_day, day_number) VALUES
{% for number in range(range_of_days['days']) %}
('{{ macros.ds_add(range_of_days['start'], number) }}', {{ range_of_days['first_number'] + number }}){{ '' if loop.last else ',' }}
{% endfor %};

-- 200 students, of whom each has an exam every tenth day. Squares modulo a prime number stand for chance, which
-- each database has its own functions for; the sum of three of them for the noise in a score.
INSERT INTO exam_data_generator_exams (student_id, exam_day, subject, study_hours, score, passed)
SELECT
    student_id,
    exam_day,
    CASE MOD((student_id * 3 + day_number * 7) / 10 + student_id, 4)  -- divided without a remainder
        WHEN 0 THEN 'mathematics' WHEN 1 THEN 'statistics' WHEN 2 THEN 'databases' ELSE 'programming'
    END,
    study_hours,
    score,
    CASE WHEN score >= 60 THEN 1 ELSE 0 END
FROM (
    SELECT
        student_id,
        exam_day,
        day_number,
        study_hours,
        CAST(LEAST(100, GREATEST(0, 34 + ability * 0.3 + study_hours * 2 + noise * 0.25 - 20)) AS DECIMAL(3, 0)) AS score
    FROM (
        SELECT
            students.student_id,
            days.exam_day,
            days.day_number,
            MOD(students.student_id * students.student_id * 31 + 17, 101) AS ability,
            CAST(MOD((students.student_id * 7 + days.day_number) * (days.day_number + 3), 149) AS DECIMAL(6, 2)) / 10
                AS study_hours,
            MOD((students.student_id + days.day_number) * (students.student_id * 5 + days.day_number), 53)
            + MOD((students.student_id * 3 + days.day_number) * (students.student_id + days.day_number * 2), 59)
            + MOD((students.student_id * 11 + days.day_number) * (students.student_id + days.day_number * 7), 61)
                AS noise
        FROM exam_data_generator_days AS days
        CROSS JOIN (
            SELECT hundreds.digit * 100 + tens.digit * 10 + ones.digit + 1 AS student_id
            FROM (SELECT 0 AS digit UNION ALL SELECT 1) AS hundreds
            CROSS JOIN (
                SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
                UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
            ) AS tens
            CROSS JOIN (
                SELECT 0 AS digit UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
                UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
            ) AS ones
        ) AS students
        WHERE days.exam_day BETWEEN '{{ range_of_days['start'] }}' AND '{{ range_of_days['end'] }}'
            AND MOD(students.student_id * 3 + days.day_number * 7, 10) = 0
    ) AS drawn
) AS scored
