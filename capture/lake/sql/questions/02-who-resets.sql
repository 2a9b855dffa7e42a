-- Who ends connections by RST, and how soon after they began?
SELECT
    CASE close WHEN 'reset-by-client' THEN 'client' ELSE 'server' END AS reset_by,
    coalesce(server_namespace || '/' || server_pod, server_host_name, server) AS server_at,
    server_port,
    count(*) AS sessions,
    count(*) FILTER (WHERE handshake = 'refused') AS refused,
    min(duration_ns) / 1e6 AS soonest_ms,
    avg(duration_ns) / 1e6 AS mean_ms
FROM sessions
WHERE close IN ('reset-by-client', 'reset-by-server')
GROUP BY 1, 2, 3
ORDER BY sessions DESC, server_at, server_port, reset_by
LIMIT 20;
