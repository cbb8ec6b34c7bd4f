"""The page that `tfpipeline app` serves: files in a browser, and verdicts in plain words."""
