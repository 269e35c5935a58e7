// SPDX-License-Identifier: Apache-2.0

// Package redact takes secrets out of captured plaintext before anything is
// stored, recorded or shown.
//
// A [Source] stands between a capture.Source and its reader and rewrites the
// octets of connections on their way:
//
//   - The value of a secret field becomes one that tells nothing but its length.
//     It has as many octets, and its representation on the wire as many too, also
//     where it is Huffman-coded: frames, dynamic tables and the sizes of their
//     entries stay as they were. An index that refers to the entry later refers to
//     the rewritten one.
//   - Of queries (in :path, location, content-location, referer) and fragments the
//     names stay.
//   - A field block that was not decoded whole, the content of DATA frames, and
//     whatever is in no frame that is understood become octets known of but not
//     captured: a hole of the same length. So does all of a connection that is
//     not HTTP/2.
//
// What is not known to be free of secrets is taken for one. A literal value whose
// name is an unknown table entry is rewritten too.
//
// # Order and bounds
//
// Octets are held back until their frame is whole, a field block until its last
// frame is, which is when their rows become known anyhow. What is held of one
// direction is bounded; beyond the bound it becomes a hole.
package redact
