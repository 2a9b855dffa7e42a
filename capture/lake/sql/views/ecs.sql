-- sessions -> fields of the Elastic Common Schema (https://www.elastic.co/guide/en/ecs/current).
-- Spark: SET spark.sql.ansi.doubleQuotedIdentifiers = true.
CREATE OR REPLACE TEMPORARY VIEW ecs_network AS
SELECT
    start AS "@timestamp",
    start AS "event.start",
    duration_ns AS "event.duration",
    'network' AS "event.category",
    'connection' AS "event.type",
    CASE WHEN handshake IN ('complete') THEN 'success' WHEN handshake IN ('started-before', 'not-captured') THEN 'unknown'
        WHEN handshake IS NULL THEN 'unknown' ELSE 'failure' END AS "event.outcome",
    handshake_words AS "event.reason",
    'ipv' || CAST(ip_version AS STRING) AS "network.type",
    CASE protocol WHEN 'icmpv6' THEN 'ipv6-icmp' ELSE protocol END AS "network.transport",
    application AS "network.protocol",
    community_id AS "network.community_id",
    bytes AS "network.bytes",
    packets AS "network.packets",
    client AS "client.ip",
    client_port AS "client.port",
    client_bytes AS "client.bytes",
    client_packets AS "client.packets",
    server AS "server.ip",
    server_port AS "server.port",
    server_bytes AS "server.bytes",
    server_packets AS "server.packets",
    server_name AS "tls.client.server_name",
    tls_version AS "tls.version",
    http_method AS "http.request.method",
    http_status AS "http.response.status_code",
    http_path AS "url.path",
    http_host AS "url.domain",
    dns_name AS "dns.question.name",
    dns_type AS "dns.question.type",
    dns_code AS "dns.response_code",
    node AS "observer.hostname",
    interface AS "observer.ingress.interface.name"
FROM sessions
WHERE capture_error IS NULL;
