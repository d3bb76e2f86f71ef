package main

// The Istio CRDs that the tests apply are read from this module's folder; no copy is committed.
import _ "istio.io/api/meta/v1alpha1"
