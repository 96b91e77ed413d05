-- What queries may call: text of an export in, a value out. Blanks and dashes are no value; text that cannot be read
-- stops the query with its words, so that nothing is lost unseen.

CREATE MACRO _text(t) AS nullif(nullif(nullif(regexp_replace(trim(CAST(t AS VARCHAR)), '\x{00a0}', ' ', 'g'), ''), '--'), '-');

-- '$1,650', '1,200.00', '(5.00)', '12%', 'USD 900'
CREATE MACRO number(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_full_match(_text(t),
    '\(?[-+]?\s*(?:[A-Z]{2,3}\$?|[$€£])?\s*[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?\s*(?:%|[A-Z]{3}|[€£])?\)?')
    AND regexp_matches(_text(t), '\d')
  THEN CASE WHEN regexp_matches(_text(t), '^[(\s]*-|^\(|^[^\d]*-') THEN -1 ELSE 1 END
    * CAST(regexp_extract(replace(_text(t), ',', ''), '\d*\.?\d+(?:[eE][-+]?\d+)?') AS DOUBLE)
  ELSE error('number() cannot read ' || _text(t)) END;

-- '1.650,00 €', '1 200,5', '(5,00)'
CREATE MACRO number_eu(t) AS number(replace(replace(regexp_replace(_text(t), '(\d)[\s\x{00a0}\x{202f}](\d)', '\1\2', 'g'), '.', ''), ',', '.'));

-- '2024-01-31', with or without a time; 'Jan 2024' is its first day; '2024/01/31', 'Jan 31, 2024', '31 January 2024', '31-Jan-2024', '31/Jan/24'
CREATE MACRO day(t) AS CASE
  WHEN _text(t) IS NULL OR starts_with(_text(t), '0000') THEN NULL
  WHEN regexp_matches(_text(t), '^\d{4}[-/]\d{1,2}[-/]\d{1,2}')
  THEN CAST(replace(regexp_extract(_text(t), '^\d{4}[-/]\d{1,2}[-/]\d{1,2}'), '/', '-') AS DATE)
  WHEN regexp_full_match(_text(t), '\d{4}-\d{2}') THEN CAST(_text(t) || '-01' AS DATE)
  ELSE coalesce(
    CAST(try_strptime(
      regexp_extract(_text(t), '^(?:[A-Za-z]+\.? \d{1,2},? \d{4}|[A-Za-z]+ \d{4}|\d{1,2}[- /][A-Za-z]+[- /]\d{2,4})'),
      ['%d-%b-%y', '%d/%b/%y', '%d %b %y', '%b %d, %Y', '%B %d, %Y', '%b %d %Y', '%B %d %Y',
       '%d %b %Y', '%d %B %Y', '%d-%b-%Y', '%d/%b/%Y',
       '%b %Y', '%B %Y']) AS DATE),
    CAST(error('day() cannot read ' || _text(t)) AS DATE)) END;

-- '07/23/2024', the month first; a time after it is left off
CREATE MACRO day_us(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_matches(_text(t), '^\d{4}-') THEN day(t)
  ELSE coalesce(
    CAST(try_strptime(regexp_extract(_text(t), '^[^\s,]+'),
      ['%m/%d/%y', '%m/%d/%Y', '%m-%d-%Y', '%m.%d.%Y']) AS DATE),
    CAST(error('day_us() cannot read ' || _text(t)) AS DATE)) END;

-- '23/07/2024', the day first
CREATE MACRO day_eu(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_matches(_text(t), '^\d{4}-') THEN day(t)
  ELSE coalesce(
    CAST(try_strptime(regexp_extract(_text(t), '^[^\s,]+'),
      ['%d/%m/%y', '%d/%m/%Y', '%d-%m-%Y', '%d.%m.%Y']) AS DATE),
    CAST(error('day_eu() cannot read ' || _text(t)) AS DATE)) END;

-- seconds (or thousandths) since 1970, as the day in UTC; 0 is no day
CREATE MACRO day_epoch(t) AS CASE
  WHEN _text(t) IS NULL OR number(t) = 0 THEN NULL
  ELSE CAST(make_timestamp(CAST(
    number(t) * CASE WHEN number(t) > 100000000000 THEN 1000 ELSE 1000000 END AS BIGINT)) AS DATE) END;

-- '1:30:00', '1:30', '1h 30m' and '1.5' are an hour and a half
CREATE MACRO hours(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_full_match(_text(t), '-?\d+:\d{2}(?::\d{2}(?:\.\d+)?)?')
  THEN CASE WHEN starts_with(_text(t), '-') THEN -1 ELSE 1 END * (
    CAST(split_part(ltrim(_text(t), '-'), ':', 1) AS DOUBLE)
    + CAST(split_part(_text(t), ':', 2) AS DOUBLE) / 60
    + coalesce(TRY_CAST(split_part(_text(t), ':', 3) AS DOUBLE), 0) / 3600)
  WHEN regexp_full_match(_text(t), '(?:\d+(?:\.\d+)?h)?\s*(?:\d+m(?:in)?)?\s*(?:\d+s)?')
  THEN coalesce(TRY_CAST(regexp_extract(_text(t), '([\d.]+)h', 1) AS DOUBLE), 0)
    + coalesce(TRY_CAST(regexp_extract(_text(t), '(\d+)m', 1) AS DOUBLE), 0) / 60
    + coalesce(TRY_CAST(regexp_extract(_text(t), '(\d+)s', 1) AS DOUBLE), 0) / 3600
  ELSE number(t) END;

-- '1,5' is an hour and a half
CREATE MACRO hours_eu(t) AS hours(replace(replace(CAST(t AS VARCHAR), '.', ''), ',', '.'));

-- the months in 'month', 'Yearly', 'every 3 months', 'quarter', '2 weeks', 'two years'; a number is a number of months.
-- A count with its unit comes before a word for the same: 12 of 'Annual (12 months)'; 'biannual' has two meanings.
CREATE MACRO _counted(t) AS regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
  lower(_text(t)), '\bone\b', '1', 'g'), '\btwo\b', '2', 'g'), '\bthree\b', '3', 'g'), '\bfour\b', '4', 'g'),
  '\bsix\b', '6', 'g'), '\bnine\b', '9', 'g'), '\btwelve\b', '12', 'g');
CREATE MACRO _unit(t) AS CASE
  WHEN regexp_matches(t, 'semi|half') THEN 6
  WHEN regexp_matches(t, '^y$|year|annual|yr') THEN 12
  WHEN regexp_matches(t, 'quarter|qtr') THEN 3
  WHEN regexp_matches(t, '^m$|mo|m2m') THEN 1
  WHEN regexp_matches(t, 'week') THEN 12 / 52.1775
  WHEN regexp_matches(t, 'da[yi]') THEN 12 / 365.2425 END;
CREATE MACRO months_in(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_full_match(_text(t), '\d+(?:\.\d+)?') THEN CAST(_text(t) AS DOUBLE)
  WHEN regexp_full_match(_counted(t), '(?:m2m|month.(?:2|to).month)\W*') THEN 1
  WHEN regexp_matches(_counted(t), '\d[\s(-]*(?:y\b|m\b|year|annual|yr|quarter|qtr|mo|week|da[yi])')
  THEN CAST(regexp_extract(_counted(t), '(\d+(?:\.\d+)?)[\s(-]*(?:y\b|m\b|year|annual|yr|quarter|qtr|mo|week|da[yi])', 1) AS DOUBLE)
    * _unit(regexp_extract(_counted(t), '\d[\s(-]*(y\b|m\b|year|annual|yr|quarter|qtr|mo|week|da[yi])', 1))
  WHEN NOT regexp_matches(_counted(t), '\d|five|seven|eight|ten\b|eleven|teen|twenty|thirty|few|couple|every other|\bbi-?(?:month|annual|week)')
    AND _unit(_counted(t)) IS NOT NULL THEN _unit(_counted(t))
  ELSE error('months_in() cannot read ' || _text(t)) END;

-- the whole months of a deal; of one that does not say, those that were answered
CREATE MACRO deal_months(t, unsaid) AS CASE WHEN coalesce(months_in(t), months_in(unsaid)) IS NOT NULL
  THEN CAST(greatest(1, round(coalesce(months_in(t), months_in(unsaid)))) AS INTEGER) END;

-- an amount per year, quarter, week, as an amount per month
CREATE MACRO a_month(amount, interval_) AS amount / coalesce(months_in(interval_), 1);

-- a name without case, accents, punctuation, '&', 'and', 'the' and the legal form, for joins
CREATE MACRO plain_name(t) AS coalesce(nullif(trim(regexp_replace(regexp_replace(regexp_replace(
    ' ' || regexp_replace(replace(lower(strip_accents(CAST(t AS VARCHAR))), '''', ''), '[^\pL\pN]+', '  ', 'g') || ' ',
    ' (?:and|the|llc|l l c|inc|incorporated|ltd|limited|co|company|corp|corporation|llp|pllc|plc|gmbh|pty) ', ' ', 'g'),
    ' (?:and|the|llc|inc|incorporated|ltd|limited|co|company|corp|corporation|llp|pllc|plc|gmbh|pty) ', ' ', 'g'),
    '\s+', ' ', 'g')), ''), lower(trim(CAST(t AS VARCHAR))));

-- the same without words that a name is often shortened by
CREATE MACRO core_name(t) AS nullif(trim(regexp_replace(regexp_replace(' ' || plain_name(t) || ' ',
    ' (?:group|sons|holdings|services|agency) ', ' ', 'g'), '\s+', ' ', 'g')), '');

-- a reason for leaving in our words; others stay as they are, and are asked about
CREATE MACRO reason_of(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_matches(lower(t), 'in.?hous') THEN 'in-housed'
  WHEN regexp_matches(lower(t), 'non.?pay|unpaid|not paid|didn.t pay') THEN 'non-payment'
  WHEN regexp_matches(lower(t), 'budget') THEN 'budget'
  WHEN regexp_matches(lower(t), 'pric|expensive|cost|fee') THEN 'price'
  WHEN regexp_matches(lower(t), 'out of business|closed|bankrupt|shut') THEN 'closed'
  WHEN regexp_matches(lower(t), 'expectation') THEN 'expectations'
  WHEN regexp_matches(lower(t), 'result|performance|roi') THEN 'results'
  WHEN regexp_matches(lower(t), 'account team|account manager|\brep\b|relationship') THEN 'rep'
  WHEN regexp_matches(lower(t), 'unprofitable') THEN 'unprofitable'
  WHEN regexp_matches(lower(t), 'abus') THEN 'abuse'
  WHEN regexp_matches(lower(t), '\bfit\b') THEN 'fit'
  WHEN regexp_matches(lower(t), 'finished|completed|project (?:done|over)') THEN 'finished'
  ELSE t END;

-- whether a row is a sum of others by its first cell: 'TOTAL', 'Total:', 'Total (57)', 'Subtotal SEO', 'Total clients'; 'Total Dental' is a name
CREATE MACRO is_total(t) AS coalesce(regexp_matches(lower(trim(t)),
  '^(?:(?:grand|sub)[ -]?totals?\b|totals?\s*(?:$|[^\s\pL])|totals?\s+(?:active|all|budgets?|clients?|customers?|fees?|for|mrr|of|per|retainers?|revenues?|spend)\b)'), false);

-- whether a deal is won by its stage: 'Closed Won', 'closedwon', or the stage that was named; 'Not won' is not
CREATE MACRO is_won(stage, named) AS coalesce(lower(trim(stage)) = lower(trim(named))
  OR (regexp_matches(lower(stage), '(?:^|[^\pL]|closed)won(?:[^\pL]|$)')
    AND NOT regexp_matches(lower(stage), '\b(?:not|never|nearly|almost|to be)\b')), false);

-- the score in '9', '10 - Extremely likely', 'Not at all likely - 0', '8/10'
CREATE MACRO score_of(t) AS CASE
  WHEN _text(t) IS NULL THEN NULL
  WHEN regexp_matches(_text(t), '\d') AND NOT regexp_matches(_text(t), '\d[.,](?:\d*[1-9])')
  THEN CAST(regexp_extract(_text(t), '\d+') AS INTEGER)
  ELSE CAST(error('score_of() cannot read ' || _text(t)) AS INTEGER) END;
