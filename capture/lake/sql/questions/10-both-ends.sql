-- What became of a conversation between two nodes? Rows of the same conversation at both, joined by its Community ID; what one
-- side sent and the other point did not see was lost between them, unless a capture lost packets itself.
SELECT
    a.community_id,
    a.client,
    a.client_port,
    a.server,
    a.server_port,
    a.node AS one_node,
    b.node AS other_node,
    a.client_packets - b.client_packets AS client_packets_more_at_one,
    b.server_packets - a.server_packets AS server_packets_more_at_other,
    (a.start_ns - b.start_ns) / 1e6 AS apart_ms,
    a.capture_complete AND b.capture_complete AS both_complete
FROM sessions AS a
JOIN sessions AS b
    ON a.community_id = b.community_id AND a.node < b.node
    AND abs(a.start_ns - b.start_ns) < 60000000000
ORDER BY a.start_ns, a.community_id, one_node, other_node;
