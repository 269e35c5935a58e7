// SPDX-License-Identifier: Apache-2.0

// Package pcap reads captures of network packets, pcap or pcapng files of
// tcpdump, dumpcap, Wireshark and others, as a source of plaintext: each TCP
// connection in them is a connection, its octets put in order. That is of use
// for cleartext HTTP/2; whether a connection is HTTP/2 at all is for the
// decoder to find out, and [Reader.Ignore] makes the others cost little.
//
// # What is told of a connection
//
// A packet belongs to no process, so there is no PID, thread, name or library.
// Connections are seen from the client: capture.Send is what the client sent,
// Binding.Local is the client's address (evidence exact). The client is the end
// that sent the SYN (RFC 9293, section 3.5), and ConnInfo.Role says so. In a
// connection whose handshake is not in the file it is the end that sends the
// client connection preface in its first packet (RFC 9113, section 3.4), else
// the one with the higher port, without a Role: the decoder will tell from the
// requests, and the process is the server if the ports misled.
//
// ConnInfo.Fresh is set where the SYN-ACK is in the file, so that position 0 is
// the first octet of both directions. Otherwise position 0 is the first octet
// that was seen. A connection opens with its first octet of payload: handshakes
// without any, port scans among them, are not connections here.
//
// # Order
//
// Octets are handed over in the order of their sequence numbers, each once, as
// soon as all before them are there; their time is that of the packet which
// completed them. Between the directions the order is that of the packets.
// A hole is taken for octets that the capture has missed when their receiver
// acknowledged what is behind it and neither 32 more packets of the connection
// nor a second of the capture's time have filled it; when too much waits behind
// it; or when the connection or the file ends. It is a capture.Lost event then.
// A connection that was reset closes after that time too, as packets can be in
// the file in another order than they were sent.
// Of a packet that was cut by a snap length, what is missing is Length beyond
// len(Data).
//
// Where both ends of a connection, or one packet on several interfaces, are in
// the file, the copies are retransmissions to this package.
//
// # Forms
//
// pcap with times in microseconds or nanoseconds, also the modified form of old
// Linux kernels, in both byte orders; pcapng (draft-ietf-opsawg-pcapng) in both
// byte orders, with any number of sections and interfaces. Link types: Ethernet
// with VLAN tags, BSD loopback, raw IP, Linux cooked v1 and v2. IPv4 and IPv6
// with extension headers. Not read: fragments of IP packets, packets inside
// tunnels, and TLS.
//
// gopacket's pcapgo, layers and reassembly packages do the same job with
// other bounds: pcapgo does not tell a file that was cut from a damaged one and
// allocates what a length field asks for, and reassembly gives no positions.
package pcap
