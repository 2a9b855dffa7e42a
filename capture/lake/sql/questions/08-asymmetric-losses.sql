-- Where is one direction lossy and the other is not? Packets that were lost before the capture point, by their sender.
SELECT
    node,
    client,
    server,
    sum(client_lost_before) AS lost_from_client,
    sum(server_lost_before) AS lost_from_server,
    sum(client_lost_before) / CAST(sum(client_packets) AS DOUBLE) AS share_from_client,
    sum(server_lost_before) / CAST(sum(server_packets) AS DOUBLE) AS share_from_server
FROM sessions
WHERE protocol = 'tcp' AND client_packets > 0 AND server_packets > 0
GROUP BY 1, 2, 3
HAVING sum(client_lost_before) + sum(server_lost_before) > 0
ORDER BY abs(sum(client_lost_before) / CAST(sum(client_packets) AS DOUBLE)
    - sum(server_lost_before) / CAST(sum(server_packets) AS DOUBLE)) DESC, client, server
LIMIT 20;
