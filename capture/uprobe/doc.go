// SPDX-License-Identifier: Apache-2.0

// Package uprobe captures the plaintext of TLS libraries in running programs.
//
// It has two halves with nothing between them but the BPF maps and the names
// of libraries: an [Attacher] places probes, a [Reader] turns what they leave
// in the ring buffer into [capture.Event] values.
//
//	ring ─▶ Reader ─▶ assembler (connections, positions, addresses) ─▶ sequencer (order) ─▶ Read
//
// Attaching needs privileges; reading needs only the map descriptors.
package uprobe
