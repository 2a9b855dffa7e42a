-- sessions -> the columns of Zeek's conn.log (https://docs.zeek.org/en/master/logs/conn.html).
-- orig_ip_bytes and resp_ip_bytes are left out: bicap counts bytes on the wire, link header included. So are history
-- and local_orig, which need what bicap does not keep. Spark: SET spark.sql.ansi.doubleQuotedIdentifiers = true.
CREATE OR REPLACE TEMPORARY VIEW zeek_conn AS
SELECT
    start_ns / 1e9 AS ts,
    capture_id || '-' || CAST(session AS STRING) AS uid,
    client AS "id.orig_h",
    client_port AS "id.orig_p",
    server AS "id.resp_h",
    server_port AS "id.resp_p",
    CASE WHEN protocol IN ('tcp', 'udp', 'icmp') THEN protocol WHEN protocol = 'icmpv6' THEN 'icmp'
        ELSE 'unknown_transport' END AS proto,
    CASE application WHEN 'tls' THEN 'ssl' ELSE application END AS service,
    duration_ns / 1e9 AS duration,
    client_payload AS orig_bytes,
    server_payload AS resp_bytes,
    CASE
        WHEN protocol = 'udp' AND client_packets > 0 AND server_packets > 0 THEN 'SF'
        WHEN protocol = 'udp' AND client_packets > 0 THEN 'S0'
        WHEN protocol = 'udp' THEN 'SHR'
        WHEN protocol <> 'tcp' THEN 'OTH'
        WHEN syns = 0 AND syn_acks = 0 THEN 'OTH'
        WHEN syns = 0 AND server_rst_packet IS NOT NULL THEN 'RSTRH'
        WHEN syns = 0 AND server_fin_packet IS NOT NULL THEN 'SHR'
        WHEN syns = 0 THEN 'OTH'
        WHEN syn_acks = 0 AND server_rst_packet IS NOT NULL THEN 'REJ'
        WHEN syn_acks = 0 AND client_rst_packet IS NOT NULL THEN 'RSTOS0'
        WHEN syn_acks = 0 AND client_fin_packet IS NOT NULL THEN 'SH'
        WHEN syn_acks = 0 THEN 'S0'
        WHEN close = 'fin' THEN 'SF'
        WHEN client_rst_packet < coalesce(server_rst_packet, client_rst_packet + 1) THEN 'RSTO'
        WHEN server_rst_packet IS NOT NULL THEN 'RSTR'
        WHEN client_fin_packet IS NOT NULL AND server_fin_packet IS NOT NULL THEN 'SF'
        WHEN client_fin_packet IS NOT NULL THEN 'S2'
        WHEN server_fin_packet IS NOT NULL THEN 'S3'
        ELSE 'S1'
    END AS conn_state,
    client_not_captured + server_not_captured AS missed_bytes,
    client_packets AS orig_pkts,
    server_packets AS resp_pkts,
    community_id
FROM sessions
WHERE capture_error IS NULL;
