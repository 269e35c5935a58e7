// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"testing"
)

func raw(kind RecordKind, size int, copied uint32) []byte {
	b := make([]byte, size)
	b[0] = byte(kind)
	binary.NativeEndian.PutUint32(b[4:], copied)
	return b
}

func TestParseRecordRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"empty":              {},
		"short header":       raw(RecordData, recordSize-1, 0),
		"short open":         raw(RecordOpen, openRecordSize-1, 0),
		"short address":      raw(RecordAddress, addressRecordSize-1, 0),
		"more than is there": raw(RecordData, recordSize+10, 11),
		"length overflows":   raw(RecordData, recordSize+10, 1<<32-1),
	} {
		var r Record
		if err := ParseRecord(b, &r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestParseRecordOfSizeClass(t *testing.T) {
	b := raw(RecordData, recordSize+128, 5)
	copy(b[recordSize:], "hellojunk that an earlier record left")
	var r Record
	if err := ParseRecord(b, &r); err != nil {
		t.Fatal(err)
	}
	if string(r.Data) != "hello" {
		t.Errorf("data %q, want %q", r.Data, "hello")
	}
}

func TestCookie(t *testing.T) {
	if got := Cookie(OpGnuTLSRecv, 3); uint8(got) != uint8(OpGnuTLSRecv) || got>>8 != 3 {
		t.Errorf("cookie %#x", got)
	}
}
