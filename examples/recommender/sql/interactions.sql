-- Which user has which item: two columns of whole numbers. Pairs that come twice count once.
SELECT user_id, item_id
FROM recommender_interactions
ORDER BY user_id, item_id
