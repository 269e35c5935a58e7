// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"runtime/debug"

	"h2sniff/tui"
)

// panicError is a panic of a goroutine, kept until the terminal is restored.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string {
	return fmt.Sprintf("internal error, please report it: %v\n%s", e.value, e.stack)
}

// asPanic makes of a panic of the user interface what those of other goroutines
// are, so that it is told with its stack too.
func asPanic(err error) error {
	if p := (*tui.PanicError)(nil); errors.As(err, &p) {
		return &panicError{p.Value, p.Stack}
	}
	return err
}

// guarded is f for a goroutine beside the user interface: a panic is a
// *panicError, of which end is told, so that the terminal can be given back
// before anything is said.
func guarded(end func(), f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
			end()
		}
	}()
	return f()
}
