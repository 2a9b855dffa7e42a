-- Which servers keep their clients waiting? By pod where it is known, else by address: mean time from the end of a request to
-- the first byte of its answer, and the slowest session.
SELECT
    coalesce(server_namespace || '/' || server_pod, server_host_name, server) AS server_at,
    server_port,
    sum(requests) AS requests,
    sum(first_byte_mean_ns * requests) / sum(requests) / 1e6 AS mean_ms,
    max(first_byte_mean_ns) / 1e6 AS slowest_session_ms
FROM sessions
WHERE requests > 0
GROUP BY 1, 2
ORDER BY mean_ms DESC, server_at, server_port
LIMIT 20;
