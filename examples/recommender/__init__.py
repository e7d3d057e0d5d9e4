"""Every hour a model that recommends items; of all models the best one serves, of equal ones the newest."""
