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
{% macro one_row_each(days=31) %}
SELECT client_id,
       first_day AS start_date,
       CASE WHEN bool_or(paid_to IS NULL) THEN NULL ELSE max(paid_to) END AS end_date,
       max(term) FILTER (WHERE began <= first_day + {{ days }}) AS contract_term_months,
       round(sum(amount) FILTER (WHERE began <= first_day + {{ days }}), 2) AS monthly_ad_spend,
       max(name) AS name,
       CASE WHEN NOT bool_or(paid_to IS NULL)
            THEN least(max(paid_to), arg_max(asked, paid_to)) END AS decision_date
FROM first
GROUP BY client_id, engagement, first_day
ORDER BY client_id, first_day
{% endmacro %}
{# Of `bills` (client_id, day, amount; a row an invoice), what each client owes a day, and who is there in the first month. #}
{% macro days() %}
days AS (
  SELECT client_id, day, sum(amount) AS amount FROM bills GROUP BY client_id, day HAVING sum(amount) > 0),
early AS (
  SELECT client_id FROM days GROUP BY client_id HAVING min(day) < (SELECT min(day) FROM days) + 28)
{% endmacro %}
{# Of `bills`, how long each pays for: the usual months between two invoices of
   its client (1, 3, 6 or 12), and the day on which the report ends. #}
{% macro invoiced() %}
{{ days() }},
gaps AS (
  SELECT client_id, date_diff('day', lag(day) OVER (PARTITION BY client_id ORDER BY day), day) AS gap FROM days),
usual AS (
  SELECT client_id,
         CASE WHEN median(gap) > 270 THEN 12 WHEN median(gap) > 135 THEN 6
              WHEN median(gap) > 59 THEN 3 ELSE 1 END AS months
  FROM gaps GROUP BY client_id),
told AS (
  SELECT coalesce(CAST(answer('cutoff') AS DATE), max(day)) AS last_day FROM bills),
periods AS (
  SELECT client_id, day AS began, amount / months AS amount,
         CAST(day + to_months(months) AS DATE) - 1 AS until, last_day
  FROM days JOIN usual USING (client_id), told
  WHERE day <= last_day)
{% endmacro %}
{# Engagements from the first to the last invoiced period. #}
{% macro from_invoices() %}
{{ invoiced() }},
paid AS (
  SELECT client_id, client_id AS name, began, amount,
         CAST(answer('months_bound') AS INTEGER) AS term, CAST(NULL AS DATE) AS asked,
         CASE WHEN until < last_day - CASE answer('not_yet_invoiced') WHEN 'still clients' THEN 31 ELSE 0 END
              THEN until END AS paid_to
  FROM periods
  WHERE {{ start_is_known() }}),
{{ engagements() }}
{{ one_row_each(20) }}
{% endmacro %}
{# The condition that leaves out who is there in the first month, where that is answered. #}
{% macro start_is_known() %}
(answer('there_before') = 'leave out' AND client_id IN (SELECT client_id FROM early)) IS NOT TRUE
{%- endmacro %}
{# How many clients are there in the first month of the report, where that is many: their starts are not known. #}
{% macro many_at_first() %}
{{ invoiced() }}
SELECT CASE WHEN count(*) >= 3 AND count(*) > 0.1 * (SELECT count(DISTINCT client_id) FROM days) THEN count(*) ELSE 0 END
FROM early
{% endmacro %}
{# How many clients were due an invoice in the last month of the report and have none. #}
{% macro due_of_late() %}
{{ invoiced() }}
SELECT count(*) FROM (SELECT client_id FROM periods GROUP BY client_id
  HAVING max(until) < max(last_day) AND max(until) >= max(last_day) - 31)
{% endmacro %}
{# Engagements from `won` deals (client_id, name, began, months, amount): a deal lasts its months; one signed while
   another runs, or within 60 days of its end, goes on with it. Nothing in a deal says when a client left. #}
{% macro from_deals() %}
told AS (
  SELECT coalesce(CAST(answer('cutoff') AS DATE), max(began)) AS last_day FROM won),
paid AS (
  SELECT client_id, name, began, amount, months AS term, CAST(NULL AS DATE) AS asked,
         CASE WHEN CAST(began + to_months(months) AS DATE) - 1 < last_day
              THEN CAST(began + to_months(months) AS DATE) - 1 END AS until,
         CASE answer('after_the_last_deal') WHEN 'still clients' THEN NULL ELSE until END AS paid_to
  FROM won, told
  WHERE began <= last_day),
{{ engagements() }}
{{ one_row_each() }}
{% endmacro %}
{# How many clients' last deal ran out before the last day of the file. #}
{% macro run_out() %}
SELECT count(*) FROM (
  SELECT client_id FROM won GROUP BY client_id
  HAVING max(CAST(began + to_months(months) AS DATE)) < (SELECT max(began) FROM won))
{% endmacro %}
{# `bills` of a sheet with a column a month. #}
{% macro bills_by_month() %}
bills AS (
  SELECT client_id, day, amount FROM (
    SELECT {{ col("@name") }} AS client_id, unnest([
{% for heading, first in months.items() %}
      {'day': DATE '{{ first }}', 'amount': {{ num(heading) }}}{{ "," if not loop.last }}
{% endfor %}
    ], recursive := true)
    FROM {{ file }}
    WHERE {{ col("@name") }} IS NOT NULL
      AND NOT is_total({{ col("@name") }})
      AND (answer('named_total') = 'leave out' AND regexp_matches(lower({{ col("@name") }}), '^totals?\b')) IS NOT TRUE)
  WHERE amount > 0)
{% endmacro %}
