"""Everything ONNX: conversion, fusing, the parity gate and the runtime."""
