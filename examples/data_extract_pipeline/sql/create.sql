-- IF NOT EXISTS: this task can be cleared on its own.
CREATE TABLE IF NOT EXISTS data_extract_pipeline_features (
    customer_id INTEGER NOT NULL PRIMARY KEY,
    age_years INTEGER NOT NULL,
    education VARCHAR(20) NOT NULL,
    region VARCHAR(20) NOT NULL,
    yearly_income DECIMAL(12, 0) NOT NULL,
    income_per_head DECIMAL(14, 2) NOT NULL,
    loans INTEGER NOT NULL,
    borrowed DECIMAL(14, 0) NOT NULL,
    borrowed_to_income DECIMAL(10, 4) NOT NULL,
    mean_rate DECIMAL(6, 3) NOT NULL,
    payments INTEGER NOT NULL,
    late_share DECIMAL(6, 4),
    longest_delay_days INTEGER,
    has_default INTEGER NOT NULL
)
