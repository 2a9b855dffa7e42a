-- sessions -> Network Activity, class 4001, of the Open Cybersecurity Schema Framework (https://schema.ocsf.io).
-- Times and durations are milliseconds. Spark: SET spark.sql.ansi.doubleQuotedIdentifiers = true.
CREATE OR REPLACE TEMPORARY VIEW ocsf_network_activity AS
SELECT
    4001 AS class_uid,
    4 AS category_uid,
    6 AS activity_id,
    400106 AS type_uid,
    1 AS severity_id,
    CAST(floor(start_ns / 1e6) AS BIGINT) AS "time",
    CAST(floor(start_ns / 1e6) AS BIGINT) AS start_time,
    CAST(floor((start_ns + duration_ns) / 1e6) AS BIGINT) AS end_time,
    CAST(floor(duration_ns / 1e6) AS BIGINT) AS duration,
    client AS "src_endpoint.ip",
    client_port AS "src_endpoint.port",
    client_pod AS "src_endpoint.name",
    server AS "dst_endpoint.ip",
    server_port AS "dst_endpoint.port",
    server_pod AS "dst_endpoint.name",
    protocol AS "connection_info.protocol_name",
    CASE protocol WHEN 'icmp' THEN 1 WHEN 'tcp' THEN 6 WHEN 'udp' THEN 17 WHEN 'icmpv6' THEN 58 WHEN 'sctp' THEN 132
        ELSE -1 END AS "connection_info.protocol_num",
    ip_version AS "connection_info.protocol_ver_id",
    community_id AS "connection_info.community_uid",
    client_bytes AS "traffic.bytes_out",
    server_bytes AS "traffic.bytes_in",
    bytes AS "traffic.bytes",
    client_packets AS "traffic.packets_out",
    server_packets AS "traffic.packets_in",
    packets AS "traffic.packets",
    CASE WHEN handshake = 'complete' THEN 1 WHEN handshake IS NULL OR handshake IN ('started-before', 'not-captured') THEN 0
        ELSE 2 END AS status_id,
    coalesce(handshake, '') AS status_detail
FROM sessions
WHERE capture_error IS NULL;
