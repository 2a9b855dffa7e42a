-- Where do small packets arrive and large ones do not? The first unacknowledged bytes were sent again and again, although the
-- receiver had room, and their segment is larger than any that was acknowledged.
WITH stuck AS (
    SELECT client AS sender, server AS receiver, server_port, client_stuck AS times, client_stuck_size AS bytes,
        client_largest_acknowledged AS largest
    FROM sessions
    WHERE client_stuck > 1 AND client_stuck_size > client_largest_acknowledged AND client_largest_acknowledged > 0
    UNION ALL
    SELECT server, client, server_port, server_stuck, server_stuck_size, server_largest_acknowledged
    FROM sessions
    WHERE server_stuck > 1 AND server_stuck_size > server_largest_acknowledged AND server_largest_acknowledged > 0
)
SELECT sender, receiver, server_port, count(*) AS sessions, sum(times) AS times, min(bytes) AS smallest_that_is_lost,
    max(largest) AS largest_that_arrives
FROM stuck
GROUP BY 1, 2, 3
ORDER BY sessions DESC, sender, receiver, server_port
LIMIT 20;
