CREATE TABLE IF NOT EXISTS building_blocks_sales (sold_on DATE NOT NULL, amount INTEGER NOT NULL)
