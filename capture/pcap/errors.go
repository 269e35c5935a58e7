// SPDX-License-Identifier: Apache-2.0

package pcap

import "errors"

// Errors that [NewReader] and [Reader.Read] return, wrapped or bare.
var (
	// ErrNotCapture: neither pcap nor pcapng.
	ErrNotCapture = errors.New("neither a recording of h2sniff nor a pcap or pcapng file")
	// ErrTruncated: all whole packets have been read, but the last one is not
	// whole.
	ErrTruncated = errors.New("the capture is cut off in the middle of a packet; everything before was read")
	// ErrDamaged: lengths in the file contradict each other. The wrapping
	// error names the place.
	ErrDamaged = errors.New("the capture is damaged")
	// ErrLinkType: not one packet could be read, as the file has other link
	// types than this package knows. The wrapping error names one.
	ErrLinkType = errors.New("the capture has packets of an unknown link type only: capture on Ethernet, loopback, or Linux's \"any\" interface")
)
