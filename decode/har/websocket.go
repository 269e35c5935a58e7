// SPDX-License-Identifier: Apache-2.0

package har

import (
	"cmp"
	"encoding/base64"
	"slices"
	"unicode/utf8"

	"h2sniff/capture"
	c "h2sniff/decode/content"
)

// maxMessages is how many WebSocket messages of each direction an entry has.
const maxMessages = 10000

// webSocket gives the frames of a WebSocket connection. Frames are shown as
// messages: Chrome has no fragments.
func webSocket(x *c.Exchange) []wsMessage {
	var list []wsMessage
	for _, side := range []struct {
		name string
		d    capture.Direction
	}{{"send", x.RequestDirection()}, {"receive", x.RequestDirection().Reverse()}} {
		for _, f := range c.WebSocketFrames(&x.Sides[side.d].Body, maxMessages) {
			m := wsMessage{Type: side.name, Time: float64(f.Time) / 1e9, Opcode: int(f.Opcode)}
			if f.Opcode == 1 && f.RSV == 0 && utf8.Valid(f.Payload.Data) {
				m.Data = string(f.Payload.Data)
			} else {
				m.Data = base64.StdEncoding.EncodeToString(f.Payload.Data)
			}
			list = append(list, m)
		}
	}
	slices.SortStableFunc(list, func(a, b wsMessage) int { return cmp.Compare(a.Time, b.Time) })
	return list
}
