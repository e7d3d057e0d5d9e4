CREATE TABLE IF NOT EXISTS exam_data_generator_days (
    exam_day DATE NOT NULL PRIMARY KEY,
    day_number BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS exam_data_generator_exams (
    student_id BIGINT NOT NULL,
    exam_day DATE NOT NULL,
    subject VARCHAR(20) NOT NULL,
    study_hours DECIMAL(4, 1) NOT NULL,
    score INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    PRIMARY KEY (student_id, exam_day)
)
