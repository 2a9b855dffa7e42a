-- sessions -> bidirectional flows with the names of IPFIX's information elements (RFC 5103, https://www.iana.org/assignments/ipfix).
-- The client is the initiator. octetDeltaCount is left out, because it counts from the IP header on and bicap counts bytes
-- on the wire: layer2OctetDeltaCount is that count.
CREATE OR REPLACE TEMPORARY VIEW ipfix_biflow AS
SELECT
    start_ns AS flowStartNanoseconds,
    start_ns + duration_ns AS flowEndNanoseconds,
    CAST(floor(duration_ns / 1e3) AS BIGINT) AS flowDurationMicroseconds,
    CASE WHEN ip_version = 4 THEN client END AS sourceIPv4Address,
    CASE WHEN ip_version = 6 THEN client END AS sourceIPv6Address,
    client_port AS sourceTransportPort,
    CASE WHEN ip_version = 4 THEN server END AS destinationIPv4Address,
    CASE WHEN ip_version = 6 THEN server END AS destinationIPv6Address,
    server_port AS destinationTransportPort,
    CASE protocol WHEN 'icmp' THEN 1 WHEN 'tcp' THEN 6 WHEN 'udp' THEN 17 WHEN 'icmpv6' THEN 58 WHEN 'sctp' THEN 132
        ELSE CAST(protocol AS INT) END AS protocolIdentifier,
    ip_version AS ipVersion,
    client_packets AS packetDeltaCount,
    client_bytes AS layer2OctetDeltaCount,
    client_payload AS transportOctetDeltaCount,
    server_packets AS reversePacketDeltaCount,
    server_bytes AS reverseLayer2OctetDeltaCount,
    server_payload AS reverseTransportOctetDeltaCount,
    CASE close WHEN 'idle' THEN 1 WHEN 'open' THEN 4 WHEN 'crowded-out' THEN 5 ELSE 3 END AS flowEndReason,
    CASE role WHEN 'asked' THEN 1 WHEN 'first' THEN 1 ELSE 0 END AS biflowDirection,
    interface AS interfaceName
FROM sessions
WHERE capture_error IS NULL;
