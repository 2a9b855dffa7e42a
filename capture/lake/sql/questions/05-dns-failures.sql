-- Which names do not resolve, who asks for them, and which questions get no answer at all?
SELECT
    dns_name,
    dns_type,
    CASE WHEN unanswered > 0 AND dns_code IS NULL THEN 'no answer' ELSE dns_code END AS outcome,
    count(*) AS sessions,
    count(DISTINCT client) AS clients,
    sum(dns_errors) AS errors,
    sum(unanswered) AS unanswered
FROM sessions
WHERE application = 'dns' AND (dns_errors > 0 OR unanswered > 0)
GROUP BY 1, 2, 3
ORDER BY sessions DESC, dns_name, dns_type, outcome
LIMIT 20;
