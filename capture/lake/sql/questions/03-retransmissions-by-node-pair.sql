-- Between which nodes are packets repeated? A conversation that two nodes captured is one; one that a single node captured has
-- no other node.
WITH conversations AS (
    SELECT
        community_id,
        min(node) AS one,
        CASE WHEN min(node) <> max(node) THEN max(node) END AS other,
        max(packets) AS packets,
        max(retransmitted) AS retransmitted
    FROM sessions
    WHERE protocol = 'tcp' AND community_id IS NOT NULL
    GROUP BY community_id
)
SELECT
    one,
    other,
    count(*) AS conversations,
    sum(packets) AS packets,
    sum(retransmitted) AS retransmitted,
    sum(retransmitted) / CAST(sum(packets) AS DOUBLE) AS share
FROM conversations
GROUP BY 1, 2
ORDER BY share DESC, one, other;
