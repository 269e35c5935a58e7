// SPDX-License-Identifier: Apache-2.0

package store

import (
	"strconv"
	"strings"

	"h2sniff/decode"
)

// GRPCStatus is what was seen of the grpc-status of a stream, which stands in its
// trailers, or in the header section of a response that has no more than that
// (grpc/grpc, doc/PROTOCOL-HTTP2.md). The zero value says that none was seen, which
// is not the status 0.
type GRPCStatus uint8

// GRPCUnknown is a grpc-status whose value is not known, or is none of the codes
// from 0 to 253. gRPC has 17 of them.
const GRPCUnknown GRPCStatus = 255

// Code is the status code, if it is known.
func (g GRPCStatus) Code() (code uint32, known bool) {
	if g == 0 || g == GRPCUnknown {
		return 0, false
	}
	return uint32(g) - 1, true
}

// isGRPC says that a content-type is that of gRPC, of gRPC-Web too, in whatever
// form the messages are.
func isGRPC(contentType string) bool {
	const prefix = "application/grpc"
	return len(contentType) >= len(prefix) && strings.EqualFold(contentType[:len(prefix)], prefix)
}

// grpcStatus reads the value of a grpc-status field.
func grpcStatus(f *decode.Field) GRPCStatus {
	code, err := strconv.ParseUint(f.Value, 10, 64)
	if !f.ValueKnown || err != nil || code >= uint64(GRPCUnknown)-1 {
		return GRPCUnknown
	}
	return GRPCStatus(code) + 1
}
