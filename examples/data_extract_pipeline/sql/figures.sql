SELECT
    (SELECT COUNT(*) FROM data_extract_pipeline_customers) AS customers,
    (SELECT COUNT(DISTINCT customer_id) FROM data_extract_pipeline_loans) AS borrowers,
    (SELECT COUNT(*) FROM data_extract_pipeline_features) AS features,
    (SELECT SUM(amount) FROM data_extract_pipeline_loans) AS amount_of_loans,
    (SELECT SUM(borrowed) FROM data_extract_pipeline_features) AS borrowed
