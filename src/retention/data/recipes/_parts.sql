{# What several recipes share. `paid` is a row a stretch of paid service: client_id, name, began, paid_to (the last paid
   day; blank while it runs), amount (a month), term (months), asked (the day on which the end was asked for). #}
{% macro engagements() %}
marked AS (
  SELECT *, max(coalesce(paid_to, DATE '9999-12-31')) OVER (PARTITION BY client_id ORDER BY began, paid_to NULLS LAST, amount
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS paid_before
  FROM paid),
numbered AS (
  SELECT *, count(*) FILTER (WHERE paid_before IS NULL OR date_diff('day', paid_before, began) > 61)
    OVER (PARTITION BY client_id ORDER BY began, paid_to NULLS LAST, amount
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS engagement
  FROM marked),
first AS (
  SELECT *, min(began) OVER (PARTITION BY client_id, engagement) AS first_day FROM numbered)
{% endmacro %}
{% macro one_row_each() %}
SELECT client_id,
       first_day AS start_date,
       CASE WHEN bool_or(paid_to IS NULL) THEN NULL ELSE max(paid_to) END AS end_date,
       max(term) FILTER (WHERE began <= first_day + 31) AS contract_term_months,
       round(sum(amount) FILTER (WHERE began <= first_day + 31), 2) AS monthly_ad_spend,
       max(name) AS name,
       CASE WHEN NOT bool_or(paid_to IS NULL)
            THEN least(max(paid_to), arg_max(asked, paid_to)) END AS decision_date
FROM first
GROUP BY client_id, engagement, first_day
ORDER BY client_id, first_day
{% endmacro %}
