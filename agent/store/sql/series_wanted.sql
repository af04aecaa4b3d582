-- CASE: what is no JSON (a damaged row) must not fail the query.
SELECT id FROM series
WHERE (:device IS NULL OR device = :device)
  AND (:metric IS NULL OR CASE WHEN json_valid(common) THEN json_extract(common, '$.metric_type') END = :metric)
