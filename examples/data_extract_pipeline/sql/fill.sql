-- Both statements are one transaction: this task can be cleared on its own.
DELETE FROM data_extract_pipeline_features;

INSERT INTO data_extract_pipeline_features
SELECT
    customers.customer_id,
    EXTRACT(YEAR FROM borrowing.last_applied_on) - customers.birth_year,
    customers.education,
    customers.region,
    customers.yearly_income,
    customers.yearly_income / customers.household_size,
    borrowing.loans,
    borrowing.borrowed,
    borrowing.borrowed / customers.yearly_income,
    borrowing.mean_rate,
    COALESCE(paying.payments, 0),
    paying.late_share,
    paying.longest_delay_days,
    borrowing.has_default
FROM data_extract_pipeline_customers AS customers
INNER JOIN (
    SELECT
        customer_id,
        COUNT(*) AS loans,
        SUM(amount) AS borrowed,
        AVG(yearly_rate) AS mean_rate,
        MAX(applied_on) AS last_applied_on,
        MAX(CASE WHEN status = 'default' THEN 1 ELSE 0 END) AS has_default
    FROM data_extract_pipeline_loans
    GROUP BY customer_id
) AS borrowing ON borrowing.customer_id = customers.customer_id
LEFT JOIN (
    SELECT
        loans.customer_id,
        COUNT(*) AS payments,
        AVG(CASE WHEN payments.days_late > 0 THEN 1.0 ELSE 0.0 END) AS late_share,
        MAX(payments.days_late) AS longest_delay_days
    FROM data_extract_pipeline_payments AS payments
    INNER JOIN data_extract_pipeline_loans AS loans ON loans.loan_id = payments.loan_id
    GROUP BY loans.customer_id
) AS paying ON paying.customer_id = customers.customer_id
