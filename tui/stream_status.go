// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"strconv"

	"h2sniff/capture"
	"h2sniff/decode/store"

	"golang.org/x/net/http2"
)

// maxStatus is more cells than any status takes.
const maxStatus = 64

// hasGRPC says that the grpc-status of a stream tells more than its HTTP status,
// which is 200 whether a call fails or not. A call of gRPC is a POST, or has its
// content-type.
func hasGRPC(t *store.StreamSummary) bool {
	return t.GRPCStatus != 0 && (t.Status == "200" || t.Status == "") && (t.GRPC || t.Method == "POST" || t.Method == "")
}

// statusText is the status of a stream in w cells: that of HTTP, or the name of
// that of gRPC, which is g and the code where the name does not fit.
func statusText(t *store.StreamSummary, w int) string {
	if !hasGRPC(t) {
		return peer(t.Status, 4)
	}
	code, known := t.GRPCStatus.Code()
	if !known {
		return "g?"
	}
	number := strconv.FormatUint(uint64(code), 10)
	if name := grpcName(number); name != "" && width(name) <= w {
		return name
	}
	return "g" + number
}

func statusLook(s *styles, t *store.StreamSummary) sgr {
	if !hasGRPC(t) {
		return statusStyle(s, t.Status)
	}
	if code, known := t.GRPCStatus.Code(); known && code == 0 {
		return s.good
	}
	return s.warn
}

// statusRank puts what failed first: by its HTTP status, then by that of gRPC, in
// each the highest first, then what was reset, and what its connection was closed
// before. What went well follows, and what goes on.
func statusRank(t *store.StreamSummary, connClosed bool) uint64 {
	const (
		well = (iota + 1) << 32
		unfinished
		reset
		failed
		failedHTTP
	)
	http := func(status string) (n uint64) {
		for _, c := range []byte(status[:min(len(status), 3)]) {
			n = n<<8 | uint64(c)
		}
		return n << 1
	}
	code, known := t.GRPCStatus.Code()
	rank := http(t.Status)
	if hasGRPC(t) {
		rank = http("200") | 1
	}
	switch {
	case !hasGRPC(t) && t.Status >= "4":
		return failedHTTP | rank
	case hasGRPC(t) && !(known && code == 0):
		return failed | uint64(code)
	case t.Reset && !answered(t):
		return reset | rank
	case goesOn(t) && connClosed:
		return unfinished | rank
	case !ended(t):
		return rank
	}
	return well | rank
}

// answered says that a stream was reset when that could do no harm: both directions
// had ended, as curl does it, or the response was whole and its server did not want
// the rest of the request (NO_ERROR: RFC 9113, section 8.1).
func answered(t *store.StreamSummary) bool {
	if t.EndSend && t.EndRecv {
		return true
	}
	d := requestDirection(t, capture.RoleUnknown).Reverse()
	whole := t.EndSend && d == capture.Send || t.EndRecv && d == capture.Recv
	return t.ResetCodeKnown && http2.ErrCode(t.ResetCode) == http2.ErrCodeNo && whole
}

func statusStyle(s *styles, status string) sgr {
	if status == "" {
		return s.plain
	}
	switch status[0] {
	case '2':
		return s.good
	case '4', '5':
		return s.warn
	}
	return s.plain
}
