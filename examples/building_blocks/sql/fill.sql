-- Emptied first: a second run leaves the rows of one.
DELETE FROM building_blocks_sales;
INSERT INTO building_blocks_sales (sold_on, amount)
VALUES ('2026-01-01', 10), ('2026-01-02', 0), ('2026-01-03', 7);
