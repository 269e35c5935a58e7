// SPDX-License-Identifier: Apache-2.0

// Package stream follows the streams of one connection: the state machine of
// RFC 9113, section 5.1, the flow-control windows of section 5.2, the settings
// of both sides with their acknowledgements (section 6.5.3), and which response
// belongs to which request, with times.
//
// A [Conn] is fed the rows of one connection in order. It follows what the
// frames say and judges nothing: a frame that breaks a rule changes what it
// can and is otherwise ignored.
//
// # What an observer can know
//
// The rows are ordered as one end of the connection saw them, or a point
// between the ends. So of a frame in either direction it holds that its sender
// knew at most the frames that stand before it in the other direction, and
// maybe fewer. Frames of one direction are in the order of their sender. What
// the other side allows is therefore given as a range (Half.Loosest,
// Half.LeastWindow): a frame outside it breaks a rule in any case.
//
// What was not seen is not guessed: [Half.Complete] says whether a direction
// was seen whole, [Conn.Idle] and [Stream.Whole] whether that is enough to
// tell. A RowGap inside a payload whose end is known leaves a direction whole.
//
// # Bounds
//
// At most [MaxOpen] streams that are not closed and [MaxClosed] that are have a
// record, of a fixed size; SETTINGS that wait for their acknowledgement are at
// most [MaxPending] a direction. Nothing else grows.
//
// A Conn is used by one goroutine at a time. There are no errors and no panics,
// whatever the rows hold.
package stream
