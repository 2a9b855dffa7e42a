-- Who moves most bytes? Each conversation once, at the point that saw most of it: rows with one Community ID that begin less than
-- a minute apart are one conversation at several points.
WITH ordered AS (
    SELECT *, start_ns - lag(start_ns) OVER (PARTITION BY community_id, client ORDER BY start_ns) AS after_ns
    FROM sessions
    WHERE capture_error IS NULL
),
numbered AS (
    SELECT *, sum(CASE WHEN after_ns < 60000000000 THEN 0 ELSE 1 END)
        OVER (PARTITION BY community_id, client ORDER BY start_ns) AS conversation
    FROM ordered
),
conversations AS (
    SELECT client, server, server_port, max(bytes) AS bytes, max(packets) AS packets
    FROM numbered
    GROUP BY client, server, server_port, community_id, conversation
)
SELECT client, server, server_port, count(*) AS conversations, sum(packets) AS packets, sum(bytes) AS bytes
FROM conversations
GROUP BY 1, 2, 3
ORDER BY bytes DESC, client, server, server_port
LIMIT 20;
