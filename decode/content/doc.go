// SPDX-License-Identifier: Apache-2.0

// Package content shows what the DATA frames of a stream carry: it assembles
// the body of each direction ([Collector], [Body]) and takes it apart
// ([Describe]) into a tree of [Part] values that a pane, lines or JSON can
// show:
//
//   - content codings undone: gzip, x-gzip, deflate (zlib and raw), br, zstd
//     (RFC 9110, section 8.4.1; RFC 7932; RFC 8878 with the window of RFC 9659)
//   - JSON laid out (RFC 8259), also where it is cut
//   - gRPC: messages across DATA frames, grpc-encoding undone, fields by a
//     descriptor set ([Schema]) or by their raw numbers, status and message
//     from the trailers (gRPC over HTTP2, PROTOCOL-HTTP2.md; protobuf encoding)
//   - WebSocket frames (RFC 8441, RFC 6455), permessage-deflate undone (RFC 7692)
//   - server-sent events (WHATWG HTML, section 9.2)
//
// Nothing is guessed. A body with octets missing keeps its holes, each decoder
// goes as far as what is there allows, and a [Part] says in Problems where it
// stopped and why. A field of which only the place is known is not taken for
// absent.
//
// # Octets of a peer
//
// A tree holds what the peer sent as the peer sent it, unsanitised: Part.Name,
// Part.Text, Part.Data and the values in Part.Attrs. Whoever shows it to a
// terminal passes these through visible.String, as [AppendText] does. Kind,
// Label, the keys of Attrs and Problems are h2sniff's own words and hold none
// of the peer's.
//
// # Bounds
//
// All that a peer can make grow is bounded by [Limits]: octets kept of a body,
// octets decoded and their ratio to the encoded, parts and octets in a tree,
// depth, streams open at once. What a limit leaves out is said in Problems.
//
// A Collector is used by one goroutine at a time; Describe and a Schema are
// safe for concurrent use as long as nobody changes what is described.
package content

// Limits bound what is kept and made. A zero field stands for its default.
type Limits struct {
	// Body is how many octets of one direction of a stream are kept:
	// 1 MiB.
	Body int
	// Held is how many octets a Collector keeps at once, over all streams, of
	// bodies and fields with what they cost: 128 MiB.
	Held int
	// Streams is how many streams a Collector follows at once: 16,384. Past
	// it the one that began first is given up.
	Streams int
	// Decoded is how many octets come out of a content coding: 8 MiB.
	Decoded int
	// Ratio is how many times larger than its encoded form a decoded body may
	// be once it is larger than 1 MiB: 256.
	Ratio int
	// Parts is how many parts a tree may have: 5,000.
	Parts int
	// Text is how many octets of the peer's a tree may hold: 1 MiB.
	Text int
}

// ratioFrom is the decoded size below which Limits.Ratio does not apply.
const ratioFrom = 1 << 20

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		v        *int
		standard int
	}{
		{&l.Body, 1 << 20}, {&l.Held, 128 << 20}, {&l.Streams, 16384}, {&l.Decoded, 8 << 20},
		{&l.Ratio, 256}, {&l.Parts, 5000}, {&l.Text, 1 << 20},
	} {
		if *f.v <= 0 {
			*f.v = f.standard
		}
	}
	return l
}
