-- Which connections never came to be, and why? Sessions of which the capture itself lost packets are not blamed on the network.
SELECT
    handshake,
    coalesce(server_namespace || '/' || server_pod, server_host_name, server) AS server_at,
    server_port,
    count(*) AS sessions,
    count(DISTINCT client) AS clients,
    min(handshake_words) AS for_example
FROM sessions
WHERE handshake NOT IN ('complete', 'started-before', 'not-captured')
GROUP BY 1, 2, 3
ORDER BY sessions DESC, handshake, server_at, server_port
LIMIT 20;
