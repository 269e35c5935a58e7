// SPDX-License-Identifier: Apache-2.0

// Package recording writes capture events into pcapng files and reads them
// back, each event identical to the one that was written. Stock Wireshark and
// tshark show such a file as HTTP/2 over TCP:
//
//	tshark -r FILE -d tcp.port==443,http2
//
// with one -d for each server port ([Writer.DecodeAs] lists them; connections
// whose addresses are unknown are given port 443).
//
// # Form
//
// pcapng is described by draft-ietf-opsawg-pcapng. The packets are synthetic
// IPv4 or IPv6 with TCP on link type 101 (LINKTYPE_RAW, no link header); their
// payload is plaintext as the program passed it to its TLS library. Everything
// is little-endian, times count nanoseconds.
//
// What a packet can say by itself is said by it alone:
//
//   - the connection: each is an interface of its own (if_name c1, c2, ...),
//     because its TLS handle is the place where the octets were captured, and
//     interfaces can be described before an address is known;
//   - the direction: which end sends the packet;
//   - Event.Offset: the TCP sequence number (initial number, plus one, plus
//     Offset, modulo 2^32), so lost octets are a hole in the numbers. A step
//     backwards, of 2^31 or more in that arithmetic, is damage;
//   - Event.Length beyond len(Data), known of but not copied: packets whose
//     original length exceeds the captured one;
//   - the end of an event: PSH. An event is one packet, or several in a row
//     where it is larger than a packet can be.
//
// So the usual data event costs 72 octets (IPv4; 92 for IPv6) and padding
// beside its own, and no JSON is parsed for it. The rest rides in comments
// "h2sniff: {JSON}" of printable ASCII, which tshark shows beside the packet:
//
//   - open: on the interface description, with the process's facts;
//   - handshake: on the SYN, with the addresses that the packets bear. They
//     are chosen once, when the first packet is due, and never change: real
//     ones if they were known by then and no other live connection in the file
//     bears them (both ends of one TCP connection may be captured, and would
//     be one stream to tshark), else made-up ones of 198.18.0.0/15 (RFC 2544);
//   - bind, lost, close: on packets without payload (for close a FIN; a bind
//     that comes before all else rides on the handshake's ACK);
//   - data: only where Offset or Length cannot be told from the packet;
//   - start, statistics, end: about the recording as a whole, on interface 0
//     and its statistics blocks. A file without the end mark was cut. The time
//     of a statistics block says that all events before it have been written.
//
// A thread id is stated by the option epb_processid_threadid, and only where
// it differs from the last one in that direction of the connection: almost no
// program moves a connection between threads, and for one that does not the
// ids cost nothing.
//
// IP and TCP checksums are valid; where octets were not copied the TCP
// checksum covers the pseudo-header alone, as checksum offloading leaves it.
//
// The package has its own block reader and writer: pcapgo (gopacket v1.7.7)
// cannot write the thread option nor a comment on statistics, does not tell a
// file that was cut from one that is damaged, and allocates for every packet.
package recording
