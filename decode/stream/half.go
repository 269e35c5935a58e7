// SPDX-License-Identifier: Apache-2.0

package stream

import (
	"encoding/binary"
	"math"

	"h2sniff/decode"

	"golang.org/x/net/http2"
)

// Settings are the values that one side has announced (RFC 9113, section
// 6.5.2). What has no limit is math.MaxUint32.
type Settings struct {
	EnablePush           uint32
	MaxConcurrentStreams uint32
	InitialWindowSize    uint32
	MaxFrameSize         uint32
	MaxHeaderListSize    uint32
}

// DefaultSettings are those of a side that has announced none.
func DefaultSettings() Settings {
	return Settings{
		EnablePush: 1, MaxConcurrentStreams: math.MaxUint32, InitialWindowSize: 1<<16 - 1,
		MaxFrameSize: 1 << 14, MaxHeaderListSize: math.MaxUint32,
	}
}

func (s *Settings) max(o *Settings) {
	s.EnablePush = max(s.EnablePush, o.EnablePush)
	s.MaxConcurrentStreams = max(s.MaxConcurrentStreams, o.MaxConcurrentStreams)
	s.InitialWindowSize = max(s.InitialWindowSize, o.InitialWindowSize)
	s.MaxFrameSize = max(s.MaxFrameSize, o.MaxFrameSize)
	s.MaxHeaderListSize = max(s.MaxHeaderListSize, o.MaxHeaderListSize)
}

// Announced is a SETTINGS frame that is not acknowledged yet.
type Announced struct {
	Seq      uint64
	Time     int64    // of its last octet
	Settings Settings // all of them, with those of the frame
}

// Half is one direction of a connection, and what its sender has announced.
type Half struct {
	// Acked are the settings that the other side has acknowledged.
	Acked Settings
	// Loosest holds for each setting the value that allows most among the
	// acknowledged one and those still to be: what the other side may go by.
	Loosest Settings
	// LeastWindow is the smallest SETTINGS_INITIAL_WINDOW_SIZE among them.
	LeastWindow uint32
	Pending     []Announced // oldest first
	// Window is that of the connection, for what this direction carries.
	Window Window
	// Highest is the highest stream id that this direction has begun.
	Highest uint32
	Frames  uint64 // frames seen

	complete      bool
	settingsFirst bool // the first frame seen was SETTINGS
	highestSure   bool // a stream id above Highest was not begun
	settingsLost  bool // acknowledgements cannot be told apart any more
	doubt         uint8
	pendingGap    uint64 // octets missing since the last frame
	damagedAt     uint64 // Seq of the newest row that frames were lost before
	raisedAt      int64  // when Acked.InitialWindowSize was last raised
	block         block
}

// block is the field block in progress.
type block struct {
	stream    uint32
	push      bool
	promised  uint32
	wire      uint32 // octets of its frames' payloads
	endStream bool
	start     int64
}

// doubtedFrames is for how many frames after a boundary was found the package
// takes into account that it may be the wrong one.
const doubtedFrames = 8

// Complete tells whether every frame of the direction was seen since the
// connection began.
func (h *Half) Complete() bool { return h.complete && h.pendingGap == 0 }

// Doubted tells whether the frame boundary was found by its looks so recently
// that the frames may be none.
func (h *Half) Doubted() bool { return h.doubt > 0 || h.pendingGap > 0 }

// SettingsSure tells whether the settings are those that the other side goes
// by.
func (h *Half) SettingsSure() bool { return h.Complete() && !h.settingsLost }

func (h *Half) init() {
	h.Acked = DefaultSettings()
	h.refold()
	h.doubt = doubtedFrames
}

// started says that the direction is seen from its start.
func (h *Half) started() {
	h.complete, h.highestSure, h.doubt = true, true, 0
}

// damaged says that frames were missed before the row seq.
func (h *Half) damaged(seq uint64) {
	h.complete, h.highestSure, h.doubt = false, false, doubtedFrames
	h.damagedAt = seq
	h.pendingGap = 0
	h.block = block{}
}

func (h *Half) refold() {
	h.Loosest = h.Acked
	h.LeastWindow = h.Acked.InitialWindowSize
	for i := range h.Pending {
		s := &h.Pending[i].Settings
		h.Loosest.max(s)
		h.LeastWindow = min(h.LeastWindow, s.InitialWindowSize)
	}
}

// announce takes a SETTINGS frame of this direction.
func (h *Half) announce(seq uint64, row *decode.Row) {
	if row.Err != nil {
		h.settingsLost = true
		return // an endpoint need not acknowledge it
	}
	if row.Missing > 0 || uint32(len(row.Payload)) < row.Header.Length {
		h.settingsLost = true
	}
	s := h.Acked
	if n := len(h.Pending); n > 0 {
		s = h.Pending[n-1].Settings
	}
	if row.Missing == 0 {
		for p := row.Payload; len(p) >= 6; p = p[6:] {
			v := binary.BigEndian.Uint32(p[2:])
			switch http2.SettingID(binary.BigEndian.Uint16(p)) {
			case http2.SettingEnablePush:
				s.EnablePush = v
			case http2.SettingMaxConcurrentStreams:
				s.MaxConcurrentStreams = v
			case http2.SettingInitialWindowSize:
				s.InitialWindowSize = v
			case http2.SettingMaxFrameSize:
				s.MaxFrameSize = v
			case http2.SettingMaxHeaderListSize:
				s.MaxHeaderListSize = v
			}
		}
	}
	if len(h.Pending) == MaxPending {
		h.settingsLost = true
		copy(h.Pending, h.Pending[1:])
		h.Pending = h.Pending[:MaxPending-1]
	}
	h.Pending = append(h.Pending, Announced{Seq: seq, Time: row.TimeEnd, Settings: s})
	h.refold()
}

// acknowledge takes an acknowledgement of the other direction.
func (h *Half) acknowledge(t int64) (a Announced, ok bool) {
	if len(h.Pending) == 0 {
		return a, false
	}
	a = h.Pending[0]
	h.Pending = h.Pending[:copy(h.Pending, h.Pending[1:])]
	if a.Settings.InitialWindowSize > h.Acked.InitialWindowSize {
		h.raisedAt = t
	}
	h.Acked = a.Settings
	h.refold()
	return a, true
}
