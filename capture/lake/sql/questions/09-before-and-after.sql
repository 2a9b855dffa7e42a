-- Did a deployment change anything? Needs the time of it:
--     CREATE TEMPORARY VIEW deployment AS SELECT CAST(1764504000000000000 AS BIGINT) AS at_ns;
SELECT
    coalesce(server_namespace || '/' || server_pod, server_host_name, server) AS server_at,
    server_port,
    CASE WHEN start_ns < at_ns THEN 'before' ELSE 'after' END AS phase,
    count(*) AS sessions,
    avg(CASE WHEN handshake IN ('complete', 'started-before', 'not-captured') OR handshake IS NULL THEN 0e0 ELSE 1e0 END)
        AS share_failed,
    sum(retransmitted) / CAST(sum(packets) AS DOUBLE) AS share_retransmitted,
    sum(first_byte_mean_ns * requests) / sum(requests) / 1e6 AS mean_first_byte_ms,
    sum(http_5xx) AS http_5xx
FROM sessions CROSS JOIN deployment
WHERE capture_error IS NULL
GROUP BY 1, 2, 3
ORDER BY server_at, server_port, phase DESC;
